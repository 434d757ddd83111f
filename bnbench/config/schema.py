"""The schema of every configuration key: its type, default and allowed values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bnbench.config.choices import (
    Device,
    EvalGrid,
    LogModel,
    Loss,
    Measure,
    Precision,
    Scaling,
    Size,
    SplitKind,
)
from bnbench.config.model_catalog import ModelConfig
from bnbench.config.norm_catalog import NormConfig
from bnbench.config.number import number
from bnbench.config.optimizer_catalog import OptimizerConfig
from bnbench.config.schedule_catalog import ScheduleConfig

DEFAULT_STEPS = 1000


class ConfigError(ValueError):
    """One or more bad values: one line each, with the key, what was given and what is allowed."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, how they are split, and how their bytes become numbers."""

    name: str = "mnist_5k"
    root: str | None = None  # the folder with its files; of folder, the images
    path: str | None = None  # arrays: the .npz file
    factory: str | None = None  # custom: package.module:function, which returns the images
    image_size: int | None = number(None, 1)  # folder: bring all images to so many pixels square
    split: SplitKind = SplitKind.fixed
    scaling: Scaling = Scaling.unit
    train_examples: int | None = number(None, 1)  # train on the first so many, class by class in turn; None for all
    download: bool = True
    # The set to take where this one's files are not here; an experiment says so, data typed by hand stay.
    stand_in: str | None = None
    # Default targets of validation accuracy, by model.
    targets: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """The budget, the loss and when to evaluate."""

    batch_size: int = number(64, 1)
    # The budget is one of these three; `DEFAULT_STEPS` if none is given.
    steps: int | None = number(None, 1)
    epochs: int | None = number(None, 1)
    examples: int | None = number(None, 1)
    loss: Loss = Loss.softmax
    eval_grid: EvalGrid = EvalGrid.geometric
    eval_every: int = number(100, 1)
    # Validation images an evaluation uses; by default as many as keep evaluation below a fifth of the time.
    eval_examples: int | None = number(None, 1)
    targets: list[float] | None = None
    measures: list[Measure] = field(default_factory=list)
    # Steps between measurements; by default they are taken on a part of the evaluation grid.
    measure_every: int | None = number(None, 1)
    precision: Precision = Precision.float32
    device: Device = Device.auto
    max_pack: int | None = number(None, 1)
    # GiB a worker's pack may take; by default half of the machine's memory, shared by a worker a core.
    max_memory: float | None = number(None, 0, low_is_allowed=False)
    # Steps after which a pack is saved, so that one that is killed goes on from there.
    checkpoint_every: int | None = number(None, 1)

    def steps_over(self, train_size: int) -> int:
        """The budget in optimizer steps, with so many training images."""
        if self.epochs is not None:
            return self.epochs * (train_size // self.batch_size)
        if self.examples is not None:
            return self.examples // self.batch_size
        return DEFAULT_STEPS if self.steps is None else self.steps


@dataclass(frozen=True)
class TrackingConfig:
    """Where results are recorded, and what beside numbers. `uri: null` is SQLite under `runs_dir`."""

    uri: str | None = None
    experiment: str = "bnbench"
    log_model: LogModel = LogModel.none


@dataclass(frozen=True)
class SweepConfig:
    """What a sweep asks and how its arms are compared; what varies stands in `hydra.sweeper`."""

    name: str | None = None
    question: str = ""
    # What tells the levels apart, beside what the arms that choose these keys set too; [] to compare nothing.
    compare: list[str] = field(default_factory=lambda: ["norm", "norm.placement"])
    contrasts: list[str] = field(default_factory=list)
    axis: str | None = None
    tuning_seeds: list[int] = field(default_factory=list)
    size: Size = Size.quick
    # Overrides of the full size: as if typed, before what is typed.
    full: list[str] = field(default_factory=list)
    # Sweeps to run one after another instead of this one.
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Config:
    """Every key a user may set."""

    seed: int = number(0, 0)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    norm: NormConfig = field(default_factory=NormConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    runs_dir: str = "runs"
    plan_only: bool = False
    resume: bool = True
    pack: Any = None  # a worker's share of a sweep; set by the sweeper, not by users


def schema() -> DictConfig:
    """`Config` as the node Hydra merges files and overrides into.

    Frozen dataclasses become read-only nodes, which nothing could be merged into: the flag is lifted here,
    so the objects stay frozen and the node does not.
    """
    node = OmegaConf.structured(Config)
    for part in [node, *(node[f.name] for f in fields(Config) if is_dataclass(f.default_factory))]:
        OmegaConf.set_readonly(part, None)
    assert isinstance(node, DictConfig)
    return node


def range_errors(section: Any, prefix: str = "") -> Iterator[str]:
    """One line for each number outside the interval its field allows.

    Args:
        section: A `Config` or one of its sections.
        prefix: The section's key with its dot, such as `"norm."`.
    """
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            yield from range_errors(value, f"{prefix}{f.name}.")
        elif value is not None and "interval" in f.metadata:
            low, high, low_is_allowed, high_is_allowed = f.metadata["interval"]
            inside = low < value < high or (low_is_allowed and value == low) or (high_is_allowed and value == high)
            if not (math.isfinite(value) and inside):
                kind = "a whole number" if "int" in str(f.type) else "a finite number"
                bounds = f"{'>=' if low_is_allowed else '>'} {low:g}"
                if high < math.inf:
                    bounds += f" and {'<=' if high_is_allowed else '<'} {high:g}"
                yield f"{prefix}{f.name}={value} is not allowed; it must be {kind} {bounds}"
