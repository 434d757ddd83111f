"""What is timed: trials from bnbench's own configuration, so that every side trains the same network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bnbench.config import Config, Trial
from bnbench.data import DATASETS, ImageData
from bnbench.packing.partition import partition
from bnbench.sweep.hydra_session import compose_one
from bnbench.sweep.planning.plan import DataLoader


@dataclass(frozen=True)
class Workload:
    """One network, batch size and optimizer, as overrides that `python -m bnbench` also takes."""

    name: str
    overrides: tuple[str, ...]


def _paper_sized() -> list[Workload]:
    """FC and the deep CNN at several batch sizes; no batch norm at batch 1, where it is undefined."""
    models = {
        "fc": ((1, 8, 60, 256), ("optimizer=sgd", "optimizer.lr=0.05")),
        "cnn": ((1, 8, 64), ("optimizer=adam", "optimizer.lr=0.0006")),
    }
    return [
        Workload(
            f"{model}-{size}-{norm}",
            ("data=mnist_5k", f"model={model}", f"norm={norm}", f"training.batch_size={size}", *optimizer),
        )
        for model, (sizes, optimizer) in models.items()
        for size in sizes
        for norm in ("none", "batch")
        if size > 1 or norm == "none"
    ]


DEFAULT = tuple(_paper_sized())
QUICK = Workload(
    "tiny",
    ("data=digits", "model=fc", "model.width=16", "model.depth=2", "norm=batch", "training.batch_size=8"),
)
WORKLOADS = {workload.name: workload for workload in (*DEFAULT, QUICK)}


@cache
def _composed(overrides: tuple[str, ...]) -> tuple[Config, Trial]:
    config = compose_one(overrides)
    return config, Trial.from_config(config, train_size=DATASETS[config.data.name].train, data_checksum="")


def trials_of(overrides: Sequence[str], seeds: Sequence[int]) -> list[Trial]:
    """The trials that the overrides give, with these seeds; the overrides are composed only once."""
    _, trial = _composed(tuple(overrides))
    return [replace(trial, seed=seed) for seed in seeds]


@cache
def load_images(overrides: tuple[str, ...], cache_dir: Path) -> ImageData:
    """The images that the overrides name, as a sweep loads them."""
    return DataLoader(cache_dir).load(_composed(overrides)[0])


@cache  # the answer may depend on how much memory is free, and must not change
def pack_width(overrides: tuple[str, ...]) -> int:
    """How many trials of this kind a sweep trains in one pack, given enough of them."""
    return len(partition(trials_of(overrides, range(256)))[0])
