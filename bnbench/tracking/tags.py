"""MLflow tags that only this package writes and reads; those that users search for are in `names.Tag`."""

from __future__ import annotations

DIVERGED_STEP = "bnbench.diverged_step"
TRIALS = "bnbench.trials"  # number of trials a sweep lists
BOUND = "bnbench.bound"  # whether a run of means has the means, or which ends of their intervals
PLACE = "place"  # a metric: of a level among the compared ones
PROCESS = "bnbench.process"  # who writes the run, as `process_identity.this_process` names it
HEARTBEAT = "bnbench.heartbeat"  # of a sweep's run: changes every few seconds, see `heartbeat`
LEASE = "bnbench.lease"  # of a sweep's run: its place in the queue for trials; with `.0`, `.1` …: those trials' keys
