"""A norm of the user's own: made by a function, and what is known of the layer that it makes."""

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
_OF_TORCH: dict[type[nn.Module], Norm] = {
    **dict.fromkeys([nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm], _OVER_BATCH),
    **dict.fromkeys([nn.InstanceNorm1d, nn.InstanceNorm2d], _OVER_POSITIONS),
    **dict.fromkeys([nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.Identity], _NEITHER),
}
"""Exact classes: a subclass may compute anything, and says so itself."""

_kinds: dict[str, Norm] = {}


def own_norm(config: NormConfig, features: int) -> nn.Module:
    """The layer that `norm.factory` makes for so many channels.

    Raises:
        ConfigError: If it makes none; one line.
    """
    make = factory("norm.factory", config.factory)
    if isinstance(make, nn.Module):
        raise ConfigError(
            f"norm.factory={config.factory} is a layer, which networks would share; give a function that makes one"
        )
    failed = f"norm.factory={config.factory} failed for {features} channels"
    layer = call(make, {"features": features, "norm": config}, ConfigError, failed)
    if not isinstance(layer, nn.Module):
        raise ConfigError(
            f"norm.factory={config.factory} returned {type(layer).__name__}; it must be a torch.nn.Module"
        )
    return layer


def own_kind(config: NormConfig, features: int) -> Norm:
    """What is known of the layer for so many channels: what it or its function declares, or what its class is.

    `removes_shift`, `over_batch` and `over_positions` are declared as attributes, as in `Norm`; None stands for what
    nobody says.
    """
    key = repr((config, features))
    if key not in _kinds:
        with seeded(0):  # what it draws disturbs nobody
            layer = own_norm(config, features)
        known = _kind(layer)
        make = factory("norm.factory", config.factory)

        def fact(name: str) -> bool | None:
            declared = getattr(layer, name, getattr(make, name, None))
            return getattr(known, name) if declared is None else bool(declared)

        _kinds[key] = replace(
            known,
            summary=f"{type(layer).__name__} of norm.factory={config.factory}",
            removes_shift=fact("removes_shift"),
            over_batch=fact("over_batch"),
            over_positions=fact("over_positions"),
        )
    return _kinds[key]


def _kind(layer: nn.Module) -> Norm:
    if type(layer) is nn.Sequential and len(layer):
        parts = [_kind(part) for part in layer]
        over_batch = None if None in [part.over_batch for part in parts] else any(part.over_batch for part in parts)
        return replace(parts[0], over_batch=over_batch)  # the first one alone meets a bias
    if type(layer) in _OF_TORCH:
        return _OF_TORCH[type(layer)]
    ours = {norm.layer: norm for norm in NORMS.values()}
    return ours.get(f"{type(layer).__module__}:{type(layer).__name__}", CUSTOM_NORM)
