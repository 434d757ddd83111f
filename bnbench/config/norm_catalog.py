"""The norms: the keys of `norm`, and for each norm an entry with all that can be known of it without torch.

A new norm takes its layer in `bnbench/norms/`, an entry here, any key that it adds to `NormConfig`, and
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
    # Keras' momentum=0.99 and TensorFlow's decay=0.99 weigh the old statistics; ours weighs the new batch.
    Preset.tensorflow: {"momentum": 0.01, "eps": 1e-3, "running_var": RunningVar.fused},
    Preset.keras: {"momentum": 0.01, "eps": 1e-3, "running_var": RunningVar.biased},
}


@dataclass(frozen=True)
class NormConfig:
    """The normalization and its place in each block.

    A key that is None takes the preset's value. Under every preset the affine starts at weight 1 and bias 0.
    """

    name: str = "none"
    factory: str | None = None  # custom: package.module:function, which returns a layer
    placement: Placement | None = None  # None: before in models of blocks; where model=custom has its norms
    without: str | None = None  # custom model: paths of norms that are left out, or of parts of it, joined by +
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
        """A copy in which every key that is None has the preset's value."""
        values = dict(_PRESETS[self.preset])
        values |= {"eps": ALL_NORMS[self.name].eps.get(self.preset, values["eps"])}
        return replace(self, **{key: value for key, value in values.items() if getattr(self, key) is None})


Errors = Callable[[NormConfig, int, str, Sequence[int]], Iterator[str]]
"""Gives the errors in a norm's settings, one line each. Its arguments are the norm's configuration, the batch size, the
model's name, and the number of channels of each place where the model has a norm."""


def _no_errors(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class Norm:
    """What the rest of bnbench needs to know of a normalization without building it.

    Attributes:
        summary: One line for `bnbench list`.
        layer: Its class, `package.module:name`, imported when a network is built; empty for no norm.
        keys: The keys of `norm` that have an effect on it.
        settings: Gives, from the configuration, the keyword arguments of its class beside the number of channels.
        removes_shift: Whether it cancels a constant added to a channel, so that a bias right before it is redundant.
        over_batch: Whether it normalizes over the batch, and so is undefined on a single value per channel.
        over_positions: Whether it normalizes over an example's positions alone, and so is undefined on one.
        manual: The class for `norm.impl=manual`, where there is one.
        examples_key: The key of `norm` that says how many examples are normalized together; empty for the whole batch.
        single_value: What it does to a channel of a single value under `norm.single_value=constant`, for sentences.
        source: For a norm that is not over the batch: by what it normalizes an example, for sentences.
        eps: The default of `norm.eps` under a preset, if it differs from batch norm's.
        errors: Gives the errors in its settings, one line each.

    `removes_shift`, `over_batch` and `over_positions` are None for a custom layer, of which they are not known.
    """

    summary: str
    layer: str
    keys: Set[str]
    settings: Callable[[NormConfig], dict[str, Any]]
    removes_shift: bool | None = False
    over_batch: bool | None = False
    over_positions: bool | None = False
    manual: str = ""
    examples_key: str = ""
    single_value: str = "normalizes that to a constant"
    source: str = "values of its own"
    eps: Mapping[Preset, float] = field(default_factory=dict)
    errors: Errors = _no_errors

    def examples(self, config: NormConfig, batch_size: int) -> int:
        """How many examples are normalized together by a norm over the batch."""
        size: int = getattr(config, self.examples_key) if self.examples_key else batch_size
        return size


_KEYS_WITHOUT_NORM = {"weight_standardization"}
_PER_EXAMPLE_KEYS = _KEYS_WITHOUT_NORM | {"placement", "without", "eps", "affine", "logits"}
_BATCH_KEYS = _PER_EXAMPLE_KEYS | {"momentum", "averaging", "running_var", "single_value", "inference"}


def _per_example_settings(config: NormConfig) -> dict[str, Any]:
    return {"eps": config.eps, "affine": config.affine}


def _running_settings(config: NormConfig) -> dict[str, Any]:
    return {
        **_per_example_settings(config),
        "momentum": config.momentum,
        "cumulative": config.averaging == Averaging.cumulative,
        "constant": config.single_value == SingleValue.constant,
    }


def _batch_settings(config: NormConfig) -> dict[str, Any]:
    divisor = {
        "unbiased": config.running_var == RunningVar.unbiased,
        "fused": config.running_var == RunningVar.fused,
    }
    return {**_running_settings(config), **divisor}


def _ghost_settings(config: NormConfig) -> dict[str, Any]:
    return {**_batch_settings(config), "ghost_size": config.ghost_size}


def _renorm_settings(config: NormConfig) -> dict[str, Any]:
    limits = {"r_max": config.r_max, "d_max": config.d_max, "warmup_steps": config.renorm_warmup_steps}
    return {**_running_settings(config), **limits}


def _noisy_settings(config: NormConfig) -> dict[str, Any]:
    return {**_batch_settings(config), "shift": config.noise_shift, "scale": config.noise_scale}


def _online_settings(config: NormConfig) -> dict[str, Any]:
    decays = {"decay_forward": config.decay_forward, "decay_backward": config.decay_backward}
    return {**_per_example_settings(config), **decays}


def _group_settings(config: NormConfig) -> dict[str, Any]:
    return {**_per_example_settings(config), "groups": config.groups}


def _ghost_size_errors(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    if batch_size % norm.ghost_size:
        yield f"norm.ghost_size={norm.ghost_size} does not divide training.batch_size={batch_size}; it must"


def _groups_errors(norm: NormConfig, batch_size: int, model: str, channels: Sequence[int]) -> Iterator[str]:
    uneven = ", ".join(str(count) for count in sorted({*channels}) if count % norm.groups)
    if uneven:
        yield f"norm.groups={norm.groups} does not divide {uneven} channels of model={model}; it must"


NORMS: dict[str, Norm] = {
    "none": Norm("no normalization", "", _KEYS_WITHOUT_NORM, lambda config: {}),
    "batch": Norm(
        "batch norm (Ioffe & Szegedy 2015)",
        "bnbench.norms.batch:BatchNorm",
        _BATCH_KEYS | {"impl"},
        _batch_settings,
        removes_shift=True,
        over_batch=True,
        manual="bnbench.norms.manual:ManualBatchNorm",
    ),
    "ghost_batch": Norm(
        "batch norm over parts of the batch (Hoffer et al. 2017)",
        "bnbench.norms.ghost:GhostBatchNorm",
        _BATCH_KEYS | {"ghost_size"},
        _ghost_settings,
        removes_shift=True,
        over_batch=True,
        examples_key="ghost_size",
        errors=_ghost_size_errors,
    ),
    "noisy_batch": Norm(
        "batch norm with noise after it (Santurkar et al. 2018)",
        "bnbench.norms.noisy:NoisyBatchNorm",
        _BATCH_KEYS | {"noise_shift", "noise_scale"},
        _noisy_settings,
        removes_shift=True,
        over_batch=True,
    ),
    "batch_renorm": Norm(
        "batch norm corrected towards its running statistics (Ioffe 2017)",
        "bnbench.norms.renorm:BatchRenorm",
        # It keeps a running standard deviation, whose divisor is always N.
        _BATCH_KEYS - {"running_var"} | {"r_max", "d_max", "renorm_warmup_steps"},
        _renorm_settings,
        over_batch=True,
        single_value="passes no gradient through that",
    ),
    "frozen_batch": Norm(
        "batch norm with the statistics of the start, held fixed",
        "bnbench.norms.frozen:FrozenBatchNorm",
        _PER_EXAMPLE_KEYS,
        _per_example_settings,
        source="constants taken from the training images at the start",
    ),
    "online": Norm(
        "online normalization, example by example (Chiley et al. 2019)",
        "bnbench.norms.online:OnlineNorm",
        _PER_EXAMPLE_KEYS | {"decay_forward", "decay_backward"},
        _online_settings,
        source="statistics of the examples before it",
    ),
    "layer": Norm(
        "layer norm (Ba et al. 2016)", "bnbench.norms.group:LayerNorm", _PER_EXAMPLE_KEYS, _per_example_settings
    ),
    "instance": Norm(
        "instance norm (Ulyanov et al. 2016)",
        "bnbench.norms.group:InstanceNorm",
        _PER_EXAMPLE_KEYS,
        _per_example_settings,
        removes_shift=True,
        over_positions=True,
    ),
    "group": Norm(
        "group norm (Wu & He 2018)",
        "bnbench.norms.group:GroupNorm",
        _PER_EXAMPLE_KEYS | {"groups"},
        _group_settings,
        errors=_groups_errors,
    ),
    "rms": Norm(
        "RMS norm (Zhang & Sennrich 2019)",
        "bnbench.norms.group:RMSNorm",
        _PER_EXAMPLE_KEYS,
        _per_example_settings,
        # The defaults of torch.nn.RMSNorm for float32 and of Keras' RMSNormalization.
        eps={Preset.torch: 2**-23, Preset.tensorflow: 1e-6, Preset.keras: 1e-6},
    ),
    "filter_response": Norm(
        "filter response norm (Singh & Krishnan 2020)",
        "bnbench.norms.filter_response:FilterResponseNorm",
        _PER_EXAMPLE_KEYS,
        _per_example_settings,
        eps=dict.fromkeys(Preset, 1e-6),  # the value of the paper
    ),
}

CUSTOM_NORM = Norm(
    "your own layer, norm.factory=package.module:function",
    "",
    {f.name for f in fields(NormConfig)} - {"name", "preset"},  # the function may read any of them
    lambda config: {},
    removes_shift=None,
    over_batch=None,
    over_positions=None,
)
"""The entry of `norm=custom`, before anything is known of its layer."""

OWN_NORM = Norm(
    "the norms that model=custom has itself, as its author made them",
    "",
    {"placement", "without"},
    lambda config: {},
    removes_shift=None,
    over_batch=None,
    over_positions=None,
)
"""The entry of `norm=own`, before anything is known of the network."""

ALL_NORMS = NORMS | {"custom": CUSTOM_NORM, "own": OWN_NORM}
"""Every norm, by the name that `norm=` takes."""
