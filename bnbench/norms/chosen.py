"""The norm that a configuration chooses, and what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnbench.config import Impl, NormConfig
from bnbench.config.imported import imported
from bnbench.config.norm_catalog import NORMS, Norm

if TYPE_CHECKING:
    from torch import nn


def norm_kind(config: NormConfig, channels: int) -> Norm:
    """What is known of the normalization of so many channels that a configuration asks for."""
    if config.name != "custom":
        return NORMS[config.name]
    from bnbench.norms.custom_norm import own_kind

    return own_kind(config.resolved(), channels)


def make_norm(config: NormConfig, features: int) -> nn.Module | None:
    """The normalization of `features` channels that a configuration asks for, or None for `norm=none`."""
    if config.name == "custom":
        from bnbench.norms.custom_norm import own_norm

        return own_norm(config.resolved(), features)
    norm = NORMS[config.name]
    if not norm.layer:
        return None
    layer = imported(norm.manual if norm.manual and config.impl == Impl.manual else norm.layer)
    made: nn.Module = layer(features, **norm.settings(config.resolved()))
    return made
