"""The normalization layers, and how the one that `norm=` names is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnbench.config.imported import imported
from bnbench.config.norm_catalog import ALL_NORMS, NORMS, Norm
from bnbench.norms.chosen import make_norm, norm_kind

if TYPE_CHECKING:
    from bnbench.norms.channel_norm import ChannelNorm
    from bnbench.norms.statistics_norm import StatisticsNorm

__all__ = ["ALL_NORMS", "NORMS", "ChannelNorm", "Norm", "StatisticsNorm", "make_norm", "norm_kind"]

_BASE_CLASSES = {
    "ChannelNorm": "bnbench.norms.channel_norm:ChannelNorm",
    "StatisticsNorm": "bnbench.norms.statistics_norm:StatisticsNorm",
}
"""The classes that new norms inherit from. They are imported when first used, because they need torch."""


def __getattr__(name: str) -> Any:
    if name not in _BASE_CLASSES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return imported(_BASE_CLASSES[name])
