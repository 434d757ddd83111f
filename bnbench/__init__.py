"""bnbench: what does normalization do to this network?"""

from __future__ import annotations

import os
from typing import Any

from bnbench.record.version import __version__
from bnbench.tensors.kernels import MKL_CBWR

os.environ.setdefault("MKL_CBWR", MKL_CBWR)  # before torch, which loads MKL

__all__ = ["__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """`bnbench.run` and `bnbench.load`, imported when asked for: `import bnbench` stays light."""
    if name in {"load", "run"}:
        from bnbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bnbench' has no attribute {name!r}")
