"""The schema of every configuration key: its type, default and allowed values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bnbench.config.choices import (
    Device,
    Engine,
    EvalGrid,
    LogModel,
    Loss,
    Measure,
    Precision,
    Scaling,
    Size,
    SplitKind,
    Until,
)
from bnbench.config.model_catalog import ModelConfig
from bnbench.config.norm_catalog import NormConfig
from bnbench.config.number import number
from bnbench.config.optimizer_catalog import OptimizerConfig
from bnbench.config.schedule_catalog import ScheduleConfig

DEFAULT_STEPS = 1000
DEFAULT_MAX_SEEDS = 64


class ConfigError(ValueError):
    """One or more bad values: one line each, with the key, what was given and what is allowed."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, how they are split, and how their bytes become numbers."""

    name: str = "mnist_5k"
    root: str | None = None  # the folder of the data set's files; for data=folder, of the images
    path: str | None = None  # data=arrays: the .npz file
    factory: str | None = None  # data=custom: package.module:function, which returns the images
    image_size: int | None = number(None, 1)  # data=folder: resize every image to this height and width
    split: SplitKind = SplitKind.fixed
    scaling: Scaling = Scaling.unit
    train_examples: int | None = number(
        None, 1
    )  # train on the first so many, taken from the classes in turn; None for all
    download: bool = True
    # The data set to use if this one's files are missing. Files of `conf/experiment` set it; a data set that the
    # user typed is never replaced.
    stand_in: str | None = None
    # Default targets, as validation accuracies in (0, 1], by model name.
    targets: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """The budget, the loss and when to evaluate."""

    batch_size: int = number(64, 1)
    # The budget is one of these three; it is `DEFAULT_STEPS` if none is set.
    steps: int | None = number(None, 1)
    epochs: int | None = number(None, 1)
    examples: int | None = number(None, 1)
    loss: Loss = Loss.softmax
    eval_grid: EvalGrid = EvalGrid.geometric
    eval_every: int = number(100, 1)
    # Validation images per evaluation; by default as many as keep evaluation below a fifth of a trial's time.
    eval_examples: int | None = number(None, 1)
    targets: list[float] | None = None
    measures: list[Measure] = field(default_factory=list)
    # Steps between measurements; by default they are taken on a part of the evaluation grid.
    measure_every: int | None = number(None, 1)
    precision: Precision = Precision.float32
    device: Device = Device.auto
    engine: Engine = Engine.auto
    max_pack: int | None = number(None, 1)
    # GiB that a pack may take; by default half of the device's memory over the number of CPU cores.
    max_memory: float | None = number(None, 0, low_is_allowed=False)
    # A pack is saved every so many steps, so that it can go on from there if it is killed.
    checkpoint_every: int | None = number(None, 1)

    def steps_over(self, train_size: int) -> int:
        """The budget in optimizer steps, if `train_size` images are trained on."""
        if self.epochs is not None:
            return self.epochs * (train_size // self.batch_size)
        if self.examples is not None:
            return self.examples // self.batch_size
        return DEFAULT_STEPS if self.steps is None else self.steps


@dataclass(frozen=True)
class TrackingConfig:
    """Where results are recorded, and whether a network is saved; `uri: null` means SQLite under `runs_dir`."""

    uri: str | None = None
    experiment: str = "bnbench"
    log_model: LogModel = LogModel.none


@dataclass(frozen=True)
class SweepConfig:
    """The question of a sweep and how its arms are compared. The keys that vary stand in `hydra.sweeper.params`."""

    name: str | None = None
    question: str = ""
    # The keys whose values make the levels that are compared; keys that are set together with them count as part of
    # the level. [] compares nothing.
    compare: list[str] = field(default_factory=lambda: ["norm", "norm.placement"])
    contrasts: list[str] = field(default_factory=list)
    axis: str | None = None
    tuning_seeds: list[int] = field(default_factory=list)
    until: Until = Until.seeds
    # The most seeds of an arm with sweep.until=settled (a claim has a cap of its own), and minutes of training.
    max_seeds: int | None = number(None, 10)
    max_minutes: float | None = number(None, 0, low_is_allowed=False)
    # The smallest difference of test accuracy that matters, in percentage points; with sweep.until=settled, differences
    # within it are settled as equivalent.
    margin_pp: float | None = number(None, 0, 100, low_is_allowed=False)
    size: Size = Size.quick
    # The overrides that sweep.size=full adds, before those that the user typed.
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
    pack: Any = None  # the job of a worker, as JSON; set by the sweeper, not by users


def schema() -> DictConfig:
    """`Config` as the OmegaConf node into which Hydra merges files and overrides.

    OmegaConf makes read-only nodes from frozen dataclasses, and nothing can be merged into those. The flag is lifted
    here, so that the node can be changed and the objects made from it cannot.
    """
    node = OmegaConf.structured(Config)
    for part in [node, *(node[f.name] for f in fields(Config) if is_dataclass(f.default_factory))]:
        OmegaConf.set_readonly(part, None)
    assert isinstance(node, DictConfig)
    return node


def range_errors(section: Any, prefix: str = "") -> Iterator[str]:
    """One line for each number outside the interval that `number` set for its field.

    Args:
        section: A `Config` or one of its sections.
        prefix: The section's key and a dot, such as `"norm."`; empty for a `Config`.
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
