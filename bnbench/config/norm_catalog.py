"""The norms: the keys of `norm`, and an entry for each kind with all that is known of it without torch.

A new kind is its layer in `bnbench/norms/`, an entry here, with any key that it adds to `NormConfig`, and
`conf/norm/NAME.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bnbench.config.choices import (
    Averaging,
    Impl,
    LogitsNorm,
    Placement,
    Preset,
    RunningVar,
    SingleValue,
    Statistics,
)
from bnbench.config.number import number

_PRESETS: dict[Preset, dict[str, Any]] = {
    Preset.torch: {"momentum": 0.1, "eps": 1e-5, "running_var": RunningVar.unbiased},
    # Keras' layers say momentum=0.99 and the low-level code decay=0.99, the weight of the old statistics.
    Preset.tensorflow: {"momentum": 0.01, "eps": 1e-3, "running_var": RunningVar.fused},
    Preset.keras: {"momentum": 0.01, "eps": 1e-3, "running_var": RunningVar.biased},
}


@dataclass(frozen=True)
class NormConfig:
    """The normalization and its place in each block.

    What is None is the preset's. The affine starts at weight 1 and bias 0 in all of them.
    """

    name: str = "none"
    factory: str | None = None  # custom: package.module:function, which returns a layer
    placement: Placement = Placement.before
    preset: Preset = Preset.torch
    momentum: float | None = number(None, 0, 1)
    eps: float | None = number(None, 0, low_is_allowed=False)
    running_var: RunningVar | None = None
    affine: bool = True
    logits: LogitsNorm = LogitsNorm.none
    weight_standardization: bool = False
    impl: Impl = Impl.native
    inference: Statistics = Statistics.running
    averaging: Averaging = Averaging.exponential
    single_value: SingleValue = SingleValue.error
    groups: int = number(4, 1)
    ghost_size: int = number(16, 1)
    r_max: float = number(3.0, 1)
    d_max: float = number(5.0, 0)
    renorm_warmup_steps: int = number(0, 0)
    noise_shift: float = number(0.5, 0)
    noise_scale: float = number(1.25, 1)
    decay_forward: float = number(0.999, 0, 1)
    decay_backward: float = number(0.99, 0, 1)

    def resolved(self) -> NormConfig:
        """With the preset's values where none are given."""
        values = dict(_PRESETS[self.preset])
        values |= {"eps": ALL_NORMS[self.name].eps.get(self.preset, values["eps"])}
        return replace(self, **{key: value for key, value in values.items() if getattr(self, key) is None})


Errors = Callable[[NormConfig, int, str, Sequence[int]], Iterator[str]]
"""What is wrong with a norm's settings, one line each: of the norm, the batch size, the model's name, and the channels
of each place for a norm."""


def _nothing_wrong(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class Norm:
    """What the rest of bnbench needs to know of a normalization without building it.

    Attributes:
        summary: One line for `bnbench list`.
        layer: Its class, `package.module:name`, imported when a network is built; empty for no norm.
        keys: The keys of `norm` that have an effect on it.
        settings: What its class takes from the configuration beside the number of channels.
        removes_shift: Whether it cancels a constant added to a channel, so that a bias right before it is redundant.
        over_batch: Whether it normalizes over the batch, and so is undefined on a single value per channel.
        over_positions: Whether it normalizes over an example's positions alone, and so is undefined on one.
        manual: The class for `norm.impl=manual`, where there is one.
        part: The key of how many examples are normalized together, where those are not the whole batch.
        single_value: What it does where a channel has a single value, for `norm.single_value=constant`.
        source: By what each example is normalized, where not by examples of its batch.
        eps: `norm.eps` by default, where that is not the preset's batch norm's.
        errors: Finds what is wrong with its settings.

    `removes_shift`, `over_batch` and `over_positions` are None where a layer of the user's own does not say.
    """

    summary: str
    layer: str
    keys: Set[str]
    settings: Callable[[NormConfig], dict[str, Any]]
    removes_shift: bool | None = False
    over_batch: bool | None = False
    over_positions: bool | None = False
    manual: str = ""
    part: str = ""
    single_value: str = "normalizes that to a constant"
    source: str = "values of its own"
    eps: Mapping[Preset, float] = field(default_factory=dict)
    errors: Errors = _nothing_wrong

    def examples(self, config: NormConfig, batch_size: int) -> int:
        """How many examples are normalized together, where it normalizes over the batch."""
        size: int = getattr(config, self.part) if self.part else batch_size
        return size


_WITHOUT = {"weight_standardization"}
_PER_EXAMPLE = _WITHOUT | {"placement", "eps", "affine", "logits"}
_BATCH = _PER_EXAMPLE | {"momentum", "averaging", "running_var", "single_value", "inference"}


def _per_example(config: NormConfig) -> dict[str, Any]:
    return {"eps": config.eps, "affine": config.affine}


def _blending(config: NormConfig) -> dict[str, Any]:
    return {
        **_per_example(config),
        "momentum": config.momentum,
        "cumulative": config.averaging == Averaging.cumulative,
        "constant": config.single_value == SingleValue.constant,
    }


def _batch(config: NormConfig) -> dict[str, Any]:
    divisor = {
        "unbiased": config.running_var == RunningVar.unbiased,
        "fused": config.running_var == RunningVar.fused,
    }
    return {**_blending(config), **divisor}


def _ghost(config: NormConfig) -> dict[str, Any]:
    return {**_batch(config), "ghost_size": config.ghost_size}


def _renorm(config: NormConfig) -> dict[str, Any]:
    limits = {"r_max": config.r_max, "d_max": config.d_max, "warmup_steps": config.renorm_warmup_steps}
    return {**_blending(config), **limits}


def _noisy(config: NormConfig) -> dict[str, Any]:
    return {**_batch(config), "shift": config.noise_shift, "scale": config.noise_scale}


def _online(config: NormConfig) -> dict[str, Any]:
    decays = {"decay_forward": config.decay_forward, "decay_backward": config.decay_backward}
    return {**_per_example(config), **decays}


def _group(config: NormConfig) -> dict[str, Any]:
    return {**_per_example(config), "groups": config.groups}


def _uneven_parts(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    if batch_size % norm.ghost_size:
        yield f"norm.ghost_size={norm.ghost_size} does not divide training.batch_size={batch_size}; it must"


def _uneven_groups(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    uneven = ", ".join(str(count) for count in sorted({*channels}) if count % norm.groups)
    if uneven:
        yield f"norm.groups={norm.groups} does not divide {uneven} channels of model={model}; it must"


NORMS: dict[str, Norm] = {
    "none": Norm("no normalization", "", _WITHOUT, lambda config: {}),
    "batch": Norm(
        "batch norm (Ioffe & Szegedy 2015)",
        "bnbench.norms.batch:BatchNorm",
        _BATCH | {"impl"},
        _batch,
        removes_shift=True,
        over_batch=True,
        manual="bnbench.norms.manual:ManualBatchNorm",
    ),
    "ghost_batch": Norm(
        "batch norm over parts of the batch (Hoffer et al. 2017)",
        "bnbench.norms.ghost:GhostBatchNorm",
        _BATCH | {"ghost_size"},
        _ghost,
        removes_shift=True,
        over_batch=True,
        part="ghost_size",
        errors=_uneven_parts,
    ),
    "noisy_batch": Norm(
        "batch norm with noise after it (Santurkar et al. 2018)",
        "bnbench.norms.noisy:NoisyBatchNorm",
        _BATCH | {"noise_shift", "noise_scale"},
        _noisy,
        removes_shift=True,
        over_batch=True,
    ),
    "batch_renorm": Norm(
        "batch norm corrected towards its running statistics (Ioffe 2017)",
        "bnbench.norms.renorm:BatchRenorm",
        # What it runs is the deviation, whose divisor is N.
        _BATCH - {"running_var"} | {"r_max", "d_max", "renorm_warmup_steps"},
        _renorm,
        over_batch=True,
        single_value="passes no gradient through that",
    ),
    "frozen_batch": Norm(
        "batch norm with the statistics of the start, held fixed",
        "bnbench.norms.frozen:FrozenBatchNorm",
        _PER_EXAMPLE,
        _per_example,
        source="constants taken from the training images at the start",
    ),
    "online": Norm(
        "online normalization, example by example (Chiley et al. 2019)",
        "bnbench.norms.online:OnlineNorm",
        _PER_EXAMPLE | {"decay_forward", "decay_backward"},
        _online,
        source="statistics of the examples before it",
    ),
    "layer": Norm("layer norm (Ba et al. 2016)", "bnbench.norms.group:LayerNorm", _PER_EXAMPLE, _per_example),
    "instance": Norm(
        "instance norm (Ulyanov et al. 2016)",
        "bnbench.norms.group:InstanceNorm",
        _PER_EXAMPLE,
        _per_example,
        removes_shift=True,
        over_positions=True,
    ),
    "group": Norm(
        "group norm (Wu & He 2018)",
        "bnbench.norms.group:GroupNorm",
        _PER_EXAMPLE | {"groups"},
        _group,
        errors=_uneven_groups,
    ),
    "rms": Norm(
        "RMS norm (Zhang & Sennrich 2019)",
        "bnbench.norms.group:RMSNorm",
        _PER_EXAMPLE,
        _per_example,
        # torch.nn.RMSNorm's for float32, or Keras' RMSNormalization's.
        eps={Preset.torch: 2**-23, Preset.tensorflow: 1e-6, Preset.keras: 1e-6},
    ),
    "filter_response": Norm(
        "filter response norm (Singh & Krishnan 2020)",
        "bnbench.norms.filter_response:FilterResponseNorm",
        _PER_EXAMPLE,
        _per_example,
        eps=dict.fromkeys(Preset, 1e-6),  # the paper's
    ),
}

OWN_NORM = Norm(
    "your own layer, norm.factory=package.module:function",
    "",
    {f.name for f in fields(NormConfig)} - {"name", "preset"},  # the function is given them all
    lambda config: {},
    removes_shift=None,
    over_batch=None,
    over_positions=None,
)
"""What `norm=custom` means, before its layer is looked at."""

ALL_NORMS = NORMS | {"custom": OWN_NORM}
"""Everything that `norm=` takes."""
