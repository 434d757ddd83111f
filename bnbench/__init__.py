"""bnbench: what does normalization do to this network?"""

from __future__ import annotations

import os
from typing import Any

# MKL picks kernels by the alignment of its operands unless told not to: the one setting without which a
# trial's bits would depend on its slot in a pack. It is read when torch loads MKL, so it comes first.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"

__all__ = ["__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """`bnbench.run` and `bnbench.load`, imported when asked for: `import bnbench` stays light."""
    if name in {"load", "run"}:
        from bnbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bnbench' has no attribute {name!r}")
