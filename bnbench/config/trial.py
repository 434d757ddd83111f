"""A trial: one training with one seed, its configuration checked, and the key that two equal trainings share."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Set
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Any

from bnbench.config.choices import Device, Engine, EvalGrid, LrScaling, Measure, Placement
from bnbench.config.contradictions import config_errors, configured_targets
from bnbench.config.engine import why_torch
from bnbench.config.factory import source_hash
from bnbench.config.model_catalog import ALL_MODELS, KEYS_OF_BLOCKS, KEYS_OF_OWN_NETWORKS, ModelConfig, model_keys
from bnbench.config.norm_catalog import ALL_NORMS, NormConfig
from bnbench.config.optimizer_catalog import OPTIMIZERS, OptimizerConfig
from bnbench.config.schedule_catalog import SCHEDULES, ScheduleConfig
from bnbench.config.schema import (
    Config,
    ConfigError,
    DataConfig,
    TrainingConfig,
)
from bnbench.tensors.device import has_gpu
from bnbench.tensors.kernels import kernel_settings

NUMERICS_VERSION = 6
"""Part of every trial's key. A change to bnbench that changes the numbers of a trial must raise it, or results recorded
before the change would be taken for new ones."""

VARIES_IN_PACK = frozenset(
    {
        "seed",
        "model.init",
        "model.init_gain",
        "model.init_sd",
        "model.head_init",
        "model.head_gain",
        "model.head_sd",
        "model.dropout",
        "norm.momentum",
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.beta1",
        "optimizer.beta2",
        "optimizer.weight_decay",
        "schedule",
        "schedule.warmup_steps",
        "schedule.final_factor",
        "schedule.every_steps",
        "schedule.step_factor",
    }
)
"""The keys in which trials of one pack may differ; in all others they must agree."""

TRIAL_SECTIONS = ("data", "model", "norm", "optimizer", "schedule", "training")
"""The sections of the configuration that define a trial. Only their keys and `seed` can vary in a sweep."""


def flatten(config: Config) -> dict[str, Any]:
    """Every value that can matter to a trial, by its dotted key; a section's `name` stands under the section's key."""
    flat: dict[str, Any] = {"seed": config.seed}
    for name in TRIAL_SECTIONS:
        section = getattr(config, name)
        for f in fields(section):
            flat[name if f.name == "name" else f"{name}.{f.name}"] = getattr(section, f.name)
    return flat


@dataclass(frozen=True, eq=False)
class Trial:
    """One training with one seed; made by `Trial.from_config`, which checks it.

    Attributes:
        steps: Optimizer steps, resolved from `training.steps`, `.epochs` or `.examples`.
        norm: The section `norm`, in which the preset's values replace None, and the placement that blocks have.
        training: The section `training`, in which the device that this machine has and the engine that follows from the
            rest replace `auto`.
        lr: Learning rate after `optimizer.lr_scaling`, before the schedule.
        targets: Validation accuracies whose first hit is recorded, ascending.
        data_checksum: SHA-256 of the data and of the split.
        weights_checksum: SHA-256 of the weights that a custom network brings and keeps (`model.init=own`); else empty.
    """

    seed: int
    data: DataConfig
    model: ModelConfig
    norm: NormConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    steps: int
    lr: float
    targets: tuple[float, ...]
    data_checksum: str
    weights_checksum: str = ""

    @classmethod
    def from_config(cls, config: Config, *, train_size: int, data_checksum: str, weights_checksum: str = "") -> Trial:
        """Check a configuration and resolve what follows from it.

        Args:
            config: The composed configuration.
            train_size: Images in the training split, of which `data.train_examples` may leave some out.
            data_checksum: SHA-256 of the data and of the split.
            weights_checksum: SHA-256 of the weights that a custom network brings and keeps; else empty.

        Raises:
            ConfigError: If a value is out of range or two contradict each other; one line each.
        """
        errors = config_errors(config, train_size)
        if errors:
            raise ConfigError("\n".join(errors))
        training = replace(config.training, device=_device(config))
        training = replace(training, engine=_engine(config, training))
        resolved = {"norm": _placed(config), "training": training}
        return cls(
            seed=config.seed,
            **{name: getattr(config, name) for name in TRIAL_SECTIONS} | resolved,
            steps=config.training.steps_over(config.data.train_examples or train_size),
            lr=_scaled_lr(config.optimizer, config.training.batch_size),
            targets=_targets(config),
            data_checksum=data_checksum,
            weights_checksum=weights_checksum,
        )

    @cached_property
    def params(self) -> dict[str, Any]:
        """The values that have an effect on the trial, by dotted key.

        `norm.placement`, for example, is left out if there is no norm: two configurations that differ only in it are
        the same trial.
        """
        return {key: value for key, value in self._flat.items() if self._matters(key)}

    @cached_property
    def key(self) -> str:
        """16 hex digits, equal for two trials exactly if they must give the same numbers on one machine."""
        identity = {
            **self.params,
            "optimizer.lr": self.lr,
            "optimizer.lr_scaling": None,
            "optimizer.lr_reference_batch_size": None,
            "data_checksum": self.data_checksum,
            "numerics": NUMERICS_VERSION,
            "torch": _torch_version(),
            **kernel_settings(),
            **self._sources,
            **({"weights": self.weights_checksum} if self.weights_checksum else {}),
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def _sources(self) -> dict[str, str]:
        """Hashes of the source files of a custom network and norm, by key; custom images are in `data_checksum`."""
        sections = [(f"{name}.factory", getattr(self, name)) for name in ("model", "norm")]
        return {
            f"source of {key}": source_hash(key, section.factory)
            for key, section in sections
            if section.name == "custom"
        }

    @property
    def is_custom(self) -> bool:
        """Whether its network or its norm is one that the user wrote."""
        return "custom" in (self.model.name, self.norm.name)

    @cached_property
    def signature(self) -> tuple[tuple[str, Any], ...]:
        """Keys and values that trials must have in common to be trained in one pack.

        They are `params` without the keys in `VARIES_IN_PACK`, the data's checksum if all seeds share one split, and
        whether there is weight decay and whether there is dropout.
        """
        fixed = {key: value for key, value in self.params.items() if key not in VARIES_IN_PACK}
        data = "" if self.data.split == "by_seed" else self.data_checksum
        # Without decay the update leaves out weights that get no gradient: not only a value differs.
        decays = self.optimizer.weight_decay > 0
        drops = self.model.dropout > 0
        return (*sorted(fixed.items()), ("data_checksum", data), ("decays", decays), ("drops", drops))

    @cached_property
    def _flat(self) -> dict[str, Any]:
        sections = {name: getattr(self, name) for name in TRIAL_SECTIONS}
        flat = flatten(Config(seed=self.seed, **sections))
        flat["training.steps"] = self.steps
        flat["model.widths"] = ",".join(map(str, self.model.widths or []))
        flat["training.measures"] = ",".join(measure for measure in Measure if measure in self.training.measures)
        return flat

    def _matters(self, key: str) -> bool:
        """Whether the value under a dotted key has an effect on this trial."""
        section, _, name = key.partition(".")
        if not name:
            return True
        match section:
            case "data":
                users = {"train_examples": self.data.name, "factory": "custom", "image_size": "folder"}
                if name in users:
                    return self.data.name == users[name] and getattr(self.data, name) is not None
                return name in {"split", "scaling"}
            case "norm":
                return name in self._norm_keys
            case "optimizer":
                if name in {"lr_scaling", "lr_reference_batch_size"}:
                    return self.optimizer.lr_scaling != LrScaling.none
                return name in OPTIMIZERS[self.optimizer.name].keys
            case "schedule":
                return name in SCHEDULES[self.schedule.name].keys
            case "training":
                every = {"eval_every"} if self.training.eval_grid == EvalGrid.linear else set[str]()
                # A GPU rounds differently. The CPU is the default and is not part of the key.
                gpu = {"device"} if self.training.device == Device.cuda else set[str]()
                # Measures change no other number, but a trial without them lacks the numbers that they record.
                measures = {"measures"} if self.training.measures else set[str]()
                if self.training.measure_every is not None and {*self.training.measures} - {Measure.test_shift}:
                    measures.add("measure_every")
                always = {"batch_size", "steps", "loss", "eval_grid", "eval_examples", "precision", "engine"}
                return name in always | every | gpu | measures
            case "model":
                return name in self._model_keys
        return True

    @cached_property
    def _model_keys(self) -> Set[str]:
        return model_keys(self.model)

    @cached_property
    def _norm_keys(self) -> Set[str]:
        keys = ALL_NORMS[self.norm.name].keys
        if ALL_MODELS[self.model.name].blocks:
            return keys - KEYS_OF_OWN_NETWORKS
        changes = {name for name in ("placement", "without") if getattr(self.norm, name) is not None}
        return keys - KEYS_OF_BLOCKS - KEYS_OF_OWN_NETWORKS | (changes & keys)


def _placed(config: Config) -> NormConfig:
    """The section `norm`, resolved; in a model of blocks with the placement that it has if none is chosen."""
    norm = config.norm.resolved()
    in_blocks = ALL_MODELS[config.model.name].blocks and norm.placement is None
    return replace(norm, placement=Placement.before) if in_blocks else norm


def _device(config: Config) -> Device:
    if config.training.device == Device.auto and config.training.engine != Engine.lanes:
        return Device.cuda if has_gpu() else Device.cpu
    return Device.cpu if config.training.device == Device.auto else config.training.device


def _engine(config: Config, training: TrainingConfig) -> Engine:
    if training.engine != Engine.auto:
        return training.engine
    reason = why_torch(config.model, config.norm, config.optimizer, training)
    return Engine.lanes if reason is None else Engine.torch


def _scaled_lr(optimizer: OptimizerConfig, batch_size: int) -> float:
    ratio = batch_size / optimizer.lr_reference_batch_size
    factors = {LrScaling.none: 1.0, LrScaling.linear: ratio, LrScaling.sqrt: math.sqrt(ratio)}
    return optimizer.lr * factors[optimizer.lr_scaling]


def _targets(config: Config) -> tuple[float, ...]:
    return tuple(sorted(float(target) for target in configured_targets(config)[1]))


@cache
def _torch_version() -> str:
    return importlib.metadata.version("torch")
