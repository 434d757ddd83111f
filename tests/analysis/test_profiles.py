"""Accuracy profiles over a sweep's workloads."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bnbench import names
from bnbench.analysis import accuracy_profiles

DEPTHS = (2, 4, 8, 16)


def rows(depths: tuple[int, ...] = DEPTHS, **more: Any) -> list[dict[str, Any]]:
    """Three seeds a depth and level: batch at .95 everywhere, none at .9 and diverged at depth 16."""
    made = []
    for depth in depths:
        for norm in ("none", "batch"):
            for seed in range(3):
                row = {"model.depth": depth, "norm": norm, "seed": seed, "data": "mnist_5k"} | more
                row[names.TEST_ACC] = 0.95 if norm == "batch" else 0.9
                if (norm, depth) == ("none", 16):
                    row |= {"status": "diverged", names.TEST_ACC: math.nan}
                made.append(row)
    return made


def test_a_failed_trial_is_below_every_threshold(table_of: Any) -> None:
    profiles = accuracy_profiles(table_of(rows(), varied=["model.depth", "norm", "seed"]))
    assert (profiles["workloads"] == 4).all()
    shares = profiles.pivot(index="threshold", columns="level", values="share")
    assert shares.index.tolist() == [0.9, 0.95]
    assert shares["none"].tolist() == [0.75, 0]
    assert shares["batch"].tolist() == [1, 1]


def test_each_level_is_at_its_own_learning_rate_where_tuning_seeds_chose_one(table_of: Any) -> None:
    made = []
    for lr in (0.1, 0.3, 1.0):
        for row in [*rows(**{"optimizer.lr": lr}), *({**row, "seed": 100} for row in rows(**{"optimizer.lr": lr}))]:
            best = 0.3 if row["norm"] == "batch" else 0.1
            row[names.ACC_BEST] = 0.9 if lr == best else 0.5
            if lr != best and row.get("status") != "diverged":
                row[names.TEST_ACC] = 0.2
            made.append(row)
    table = table_of(made, varied=["model.depth", "optimizer.lr", "norm", "seed"], tuning_seeds=[100])
    profiles = accuracy_profiles(table)
    assert profiles["threshold"].unique().tolist() == pytest.approx([0.9, 0.95])
    assert (profiles["workloads"] == 4).all()


def test_fewer_than_four_workloads_have_no_profile(table_of: Any) -> None:
    assert accuracy_profiles(table_of(rows(DEPTHS[:3]), varied=["model.depth", "norm", "seed"])).empty


def test_a_workload_that_a_level_lacks_does_not_count(table_of: Any) -> None:
    made = [row for row in rows() if (row["model.depth"], row["norm"]) != (2, "batch")]
    assert accuracy_profiles(table_of(made, varied=["model.depth", "norm", "seed"])).empty
