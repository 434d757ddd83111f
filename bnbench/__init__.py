"""bnbench: what does normalization do to this network?"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bnbench.record.version import __version__
from bnbench.tensors.kernels import MKL_CBWR

os.environ.setdefault("MKL_CBWR", MKL_CBWR)  # before torch, which loads MKL

if TYPE_CHECKING:
    from bnbench.api import load as load
    from bnbench.api import run as run
    from bnbench.config import ConfigError as ConfigError
    from bnbench.sweep.running.failure import SweepFailedError as SweepFailedError
    from bnbench.sweep.running.published import Sweep as Sweep
    from bnbench.tracking import TrackingError as TrackingError

_HOMES = {
    "run": "bnbench.api",
    "load": "bnbench.api",
    "Sweep": "bnbench.sweep.running.published",
    "ConfigError": "bnbench.config",
    "SweepFailedError": "bnbench.sweep.running.failure",
    "TrackingError": "bnbench.tracking",
}
"""By name, the module of what Python sees of bnbench, each imported when asked for: `import bnbench` stays light."""

__all__ = ["ConfigError", "Sweep", "SweepFailedError", "TrackingError", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bnbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
