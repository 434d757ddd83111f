"""Every normalization, by the name that `norm=` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnbench.config.norm_catalog import ALL_NORMS, NORMS, Norm
from bnbench.norms.chosen import make_norm, norm_kind

if TYPE_CHECKING:
    from bnbench.norms.channel_norm import ChannelNorm

__all__ = ["ALL_NORMS", "NORMS", "ChannelNorm", "Norm", "make_norm", "norm_kind"]


def __getattr__(name: str) -> Any:
    """`ChannelNorm`, which authors of norms build on, imported when it is asked for: it takes torch."""
    if name != "ChannelNorm":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from bnbench.norms.channel_norm import ChannelNorm

    return ChannelNorm
