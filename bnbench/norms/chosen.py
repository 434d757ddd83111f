"""Makes the norm that a configuration chooses, and finds its entry of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnbench.config import Impl, NormConfig
from bnbench.config.imported import imported
from bnbench.config.norm_catalog import NORMS, Norm

if TYPE_CHECKING:
    from torch import nn


def norm_kind(config: NormConfig, channels: int) -> Norm:
    """The entry of the norm that a configuration chooses.

    Args:
        config: The section `norm` of the configuration.
        channels: How many channels a custom norm is made with to find out; it does not matter for the others.
    """
    if config.name != "custom":
        return NORMS[config.name]
    from bnbench.norms.custom_norm import custom_norm_kind

    return custom_norm_kind(config.resolved(), channels)


def make_norm(config: NormConfig, features: int) -> nn.Module | None:
    """The layer that normalizes `features` channels as a configuration says, or None for `norm=none`."""
    if config.name == "custom":
        from bnbench.norms.custom_norm import make_custom_norm

        return make_custom_norm(config.resolved(), features)
    norm = NORMS[config.name]
    if not norm.layer:
        return None
    layer_class = imported(norm.manual if norm.manual and config.impl == Impl.manual else norm.layer)
    layer: nn.Module = layer_class(features, **norm.settings(config.resolved()))
    return layer
