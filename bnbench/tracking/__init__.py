"""Records trials and sweeps in MLflow, and reads them back; the only package that imports mlflow.

Everything outside imports what this file names, and nothing from the modules beside it. What imports mlflow (1.5 s) is
imported when its name is asked for: a worker that only spools its results does without.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bnbench.tracking.archive import SweepArchive, read_archive, write_archive
from bnbench.tracking.errors import NothingRecordedError, SpoolError, TrackingError, UndeliveredError
from bnbench.tracking.process_identity import this_process, was_killed
from bnbench.tracking.spool import Spool, waiting_results

if TYPE_CHECKING:
    from bnbench.tracking.heartbeat import Heartbeat
    from bnbench.tracking.leases import Holder, Leases
    from bnbench.tracking.standing import Running, Sign, Standing, TrialState
    from bnbench.tracking.store import Store

__all__ = [
    "Heartbeat",
    "Holder",
    "Leases",
    "NothingRecordedError",
    "Running",
    "Sign",
    "Spool",
    "SpoolError",
    "Standing",
    "Store",
    "SweepArchive",
    "TrackingError",
    "TrialState",
    "UndeliveredError",
    "read_archive",
    "this_process",
    "waiting_results",
    "was_killed",
    "write_archive",
]

# MLflow reads these when it is imported; who has set them keeps their own.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # its errors reach the user as `TrackingError`, without their tracebacks
}.items():
    os.environ.setdefault(_name, _value)

_NEEDS_MLFLOW = {
    "Heartbeat": "heartbeat",
    "Holder": "leases",
    "Leases": "leases",
    "Running": "standing",
    "Sign": "standing",
    "Standing": "standing",
    "Store": "store",
    "TrialState": "standing",
}
"""The module of each name that is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_MLFLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"bnbench.tracking.{_NEEDS_MLFLOW[name]}"), name)
