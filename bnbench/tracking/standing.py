"""How far a sweep is, by its trials: read without their numbers, so that it is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking.connect import Connection
from bnbench.tracking.process_identity import was_killed
from bnbench.tracking.recorded import counting_runs, standing_of
from bnbench.tracking.sweep_runs import find_sweep, read_plan
from bnbench.tracking.tags import PROCESS


@dataclass(frozen=True)
class TrialState:
    """One planned trial.

    Attributes:
        arm: Its arm in a few words.
        status: One of `names.STATUSES`, or "missing".
        reused: Whether an earlier sweep trained it.
    """

    key: str
    arm: str
    seed: int
    status: str
    reason: str
    reused: bool = False


@dataclass(frozen=True)
class Standing:
    """One sweep.

    Attributes:
        record: Its description.
        state: How its run stands; a run whose process is gone was killed, whatever it says.
        trials: In the planned order.
    """

    record: SweepRecord
    state: Literal["running", "finished", "failed", "killed"]
    trials: list[TrialState]


def read_standing(connection: Connection, sweep: str) -> Standing:
    """The sweep as the store holds it.

    Args:
        connection: The open store.
        sweep: As `find_sweep` takes it.

    Raises:
        TrackingError: If there is no such sweep.
    """
    run = find_sweep(connection, sweep)
    record, planned = read_plan(connection, run)
    recorded = counting_runs(connection, planned)
    trials = []
    for trial in planned:
        status, reason = standing_of(trial, recorded.get(trial.key))
        trials.append(TrialState(trial.key, trial.arm, trial.seed, status, reason, trial.reused))
    return Standing(record, _state(run.info.status, run.data.tags.get(PROCESS, "")), trials)


def _state(status: str, process: str) -> Literal["running", "finished", "failed", "killed"]:
    if status == "RUNNING":
        return "killed" if was_killed(process) else "running"
    return "finished" if status == "FINISHED" else "failed" if status == "FAILED" else "killed"
