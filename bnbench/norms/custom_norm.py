"""Norms that users write: calls `norm.factory`, and finds out the facts about the layer that it makes."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from bnbench.config import ConfigError, NormConfig
from bnbench.config.factory import call, factory
from bnbench.config.norm_catalog import CUSTOM_NORM, NORMS, Norm
from bnbench.tensors.seeding import seeded

_OVER_BATCH = replace(CUSTOM_NORM, removes_shift=True, over_batch=True, over_positions=False)
_OVER_POSITIONS = replace(CUSTOM_NORM, removes_shift=True, over_batch=False, over_positions=True)
_NEITHER = replace(CUSTOM_NORM, removes_shift=False, over_batch=False, over_positions=False)
_TORCH_NORMS: dict[type[nn.Module], Norm] = {
    **dict.fromkeys([nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm], _OVER_BATCH),
    **dict.fromkeys([nn.InstanceNorm1d, nn.InstanceNorm2d], _OVER_POSITIONS),
    **dict.fromkeys([nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.Identity], _NEITHER),
}
"""Facts about torch's classes. A subclass may compute something else, so none is looked up by its base class."""

_kinds: dict[str, Norm] = {}


def make_custom_norm(config: NormConfig, features: int) -> nn.Module:
    """The layer that `norm.factory` makes for `features` channels.

    Raises:
        ConfigError: If the function fails, or returns no module; one line.
    """
    function = factory("norm.factory", config.factory)
    if isinstance(function, nn.Module):
        raise ConfigError(
            f"norm.factory={config.factory} is a layer, which networks would share; give a function that makes one"
        )
    failure = f"norm.factory={config.factory} failed for {features} channels"
    layer = call(function, {"features": features, "norm": config}, ConfigError, failure)
    if not isinstance(layer, nn.Module):
        raise ConfigError(
            f"norm.factory={config.factory} returned {type(layer).__name__}; it must be a torch.nn.Module"
        )
    return layer


def custom_norm_kind(config: NormConfig, features: int) -> Norm:
    """The entry of a custom norm, from the layer that its function makes for `features` channels.

    `removes_shift`, `over_batch` and `over_positions` are those that the layer or the function declares as attributes;
    else they are those of the layer's class, and None if that is unknown.
    """
    key = repr((config, features))
    if key not in _kinds:
        with seeded(0):  # so that it draws nothing from the caller's generators
            layer = make_custom_norm(config, features)
        by_class = _kind_of_class(layer)
        function = factory("norm.factory", config.factory)

        def fact(name: str) -> bool | None:
            declared = getattr(layer, name, getattr(function, name, None))
            return getattr(by_class, name) if declared is None else bool(declared)

        _kinds[key] = replace(
            by_class,
            summary=f"{type(layer).__name__} of norm.factory={config.factory}",
            removes_shift=fact("removes_shift"),
            over_batch=fact("over_batch"),
            over_positions=fact("over_positions"),
        )
    return _kinds[key]


def _kind_of_class(layer: nn.Module) -> Norm:
    """The entry with the facts about a layer that follow from its class."""
    if type(layer) is nn.Sequential and len(layer):
        parts = [_kind_of_class(part) for part in layer]
        over_batch = None if None in [part.over_batch for part in parts] else any(part.over_batch for part in parts)
        return replace(parts[0], over_batch=over_batch)  # a bias before the layer reaches only the first part
    if type(layer) in _TORCH_NORMS:
        return _TORCH_NORMS[type(layer)]
    by_path = {norm.layer: norm for norm in NORMS.values()}
    return by_path.get(f"{type(layer).__module__}:{type(layer).__name__}", CUSTOM_NORM)
