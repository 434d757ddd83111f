"""Records trials and sweeps in MLflow, and reads them back; the only package that imports mlflow.

What imports mlflow (1.5 s) is imported from its own module, and late:
`from bnbench.tracking.store import Store`.
"""

from __future__ import annotations

import os

from bnbench.tracking.errors import NothingRecordedError, SpoolError, TrackingError, UndeliveredError

__all__ = ["NothingRecordedError", "SpoolError", "TrackingError", "UndeliveredError"]

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
