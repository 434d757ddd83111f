"""Every normalization, by the name that `norm=` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bnbench.config import Averaging, Impl, NormConfig, RunningVar, SingleValue

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NORMS", "OWN_NORM", "Norm", "make_norm", "norm_kind"]


@dataclass(frozen=True)
class Norm:
    """What the rest of bnbench needs to know of a normalization without building it.

    Attributes:
        summary: One line for `bnbench list`.
        module: Where its class is, so that listing norms imports none; empty for no norm.
        layer: The class's name.
        settings: What it takes from the configuration beside the number of channels.
        removes_shift: Whether it cancels a constant added to a channel, so that a bias right before it is redundant.
        over_batch: Whether it normalizes over the batch, and so is undefined on a single value per channel.
        over_positions: Whether it normalizes over an example's positions alone, and so is undefined on one.

    The last three are None where a layer of the user's own does not say.
    """

    summary: str
    module: str
    layer: str
    settings: Callable[[NormConfig], dict[str, Any]]
    removes_shift: bool | None = False
    over_batch: bool | None = False
    over_positions: bool | None = False


def _per_example(config: NormConfig) -> dict[str, Any]:
    return {"eps": config.eps, "affine": config.affine}


def _batch(config: NormConfig) -> dict[str, Any]:
    return {
        **_per_example(config),
        "momentum": config.momentum,
        "cumulative": config.averaging == Averaging.cumulative,
        "unbiased": config.running_var == RunningVar.unbiased,
        "fused": config.running_var == RunningVar.fused,
        "constant": config.single_value == SingleValue.constant,
    }


def _ghost(config: NormConfig) -> dict[str, Any]:
    return {**_batch(config), "ghost_size": config.ghost_size}


def _renorm(config: NormConfig) -> dict[str, Any]:
    limits = {"r_max": config.r_max, "d_max": config.d_max, "warmup_steps": config.renorm_warmup_steps}
    batch = {key: value for key, value in _batch(config).items() if key not in ("unbiased", "fused")}
    return {**batch, **limits}


def _noisy(config: NormConfig) -> dict[str, Any]:
    return {**_batch(config), "shift": config.noise_shift, "scale": config.noise_scale}


def _online(config: NormConfig) -> dict[str, Any]:
    decays = {"decay_forward": config.decay_forward, "decay_backward": config.decay_backward}
    return {**_per_example(config), **decays}


def _group(config: NormConfig) -> dict[str, Any]:
    return {**_per_example(config), "groups": config.groups}


_PER_CHANNEL = {"removes_shift": True, "over_batch": True}

NORMS = {
    "none": Norm("no normalization", "", "", lambda config: {}),
    "batch": Norm("batch norm (Ioffe & Szegedy 2015)", "batch", "BatchNorm", _batch, **_PER_CHANNEL),
    "ghost_batch": Norm(
        "batch norm over parts of the batch (Hoffer et al. 2017)", "ghost", "GhostBatchNorm", _ghost, **_PER_CHANNEL
    ),
    "noisy_batch": Norm(
        "batch norm with noise after it (Santurkar et al. 2018)", "noisy", "NoisyBatchNorm", _noisy, **_PER_CHANNEL
    ),
    "batch_renorm": Norm(
        "batch norm corrected towards its running statistics (Ioffe 2017)",
        "renorm",
        "BatchRenorm",
        _renorm,
        over_batch=True,
    ),
    "frozen_batch": Norm(
        "batch norm with the statistics of the start, held fixed", "frozen", "FrozenBatchNorm", _per_example
    ),
    "online": Norm("online normalization, example by example (Chiley et al. 2019)", "online", "OnlineNorm", _online),
    "layer": Norm("layer norm (Ba et al. 2016)", "group", "LayerNorm", _per_example),
    "instance": Norm(
        "instance norm (Ulyanov et al. 2016)",
        "group",
        "InstanceNorm",
        _per_example,
        removes_shift=True,
        over_positions=True,
    ),
    "group": Norm("group norm (Wu & He 2018)", "group", "GroupNorm", _group),
    "rms": Norm("RMS norm (Zhang & Sennrich 2019)", "group", "RMSNorm", _per_example),
    "filter_response": Norm(
        "filter response norm (Singh & Krishnan 2020)", "filter_response", "FilterResponseNorm", _per_example
    ),
}

OWN_NORM = Norm("your own layer, norm.factory=package.module:function", "", "", lambda config: {}, None, None, None)
"""What `norm=custom` means, before its layer is looked at."""

_MANUAL = Norm("batch norm, written out", "manual", "ManualBatchNorm", _batch, **_PER_CHANNEL)


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
    manual = config.name == "batch" and config.impl == Impl.manual
    norm = _MANUAL if manual else NORMS[config.name]
    if not norm.layer:
        return None
    layer = getattr(import_module(f"bnbench.norms.{norm.module}"), norm.layer)
    made: nn.Module = layer(features, **norm.settings(config.resolved()))
    return made
