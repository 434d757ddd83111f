"""What could mislead in a sweep is found and counted."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from bnbench.analysis import Analysis, detectable_difference
from bnbench.analysis.caveats import (
    LeftOut,
    RateChoice,
    absent_contrasts,
    choice_is_open,
    family_of,
    leaves_out_pairs,
    left_out,
    mixed_conditions,
    rate_choice,
    reported_seeds,
    sight_of,
)
from bnbench.record import names

RATES = (0.1, 0.3, 1.0)
VARIED = ["optimizer.lr", "norm", "seed"]


def trials(*norms: str, rates: tuple[float, ...] = (0.1,), seeds: int = 10, **more: Any) -> list[dict[str, Any]]:
    noise = np.random.default_rng(0)
    return [
        {"norm": norm, "optimizer.lr": rate, "seed": seed, names.TEST_ACC: 0.9 + noise.normal(0, 0.01), **more}
        for norm, rate, seed in product(norms, rates, range(seeds))
    ]


@pytest.mark.parametrize(
    ("lost", "why", "of"),
    [
        ({"status": "diverged"}, LeftOut.diverged, 9),
        ({"status": "failed"}, LeftOut.failed, 9),
        ({"status": "missing"}, LeftOut.missing, 10),
        ({names.TEST_ACC: 0.1, "data": "mnist_5k"}, LeftOut.collapsed, 9),
    ],
)
def test_trials_that_are_in_no_accuracy_are_counted_and_placed(
    table_of: Any, lost: dict[str, Any], why: LeftOut, of: int
) -> None:
    rows = trials("none", "batch", data="mnist_5k")
    for row in rows[10:13]:
        row |= lost
    rows[19]["status"] = "missing"  # which has not failed, and is none of those that might have
    found = left_out(Analysis(table_of(rows)).arms, why)
    assert [(one.arm.level, one.n, one.of) for one in found] == [("batch", 3 + (why == LeftOut.missing), of)]


def test_a_planned_contrast_that_was_not_run_is_found(table_of: Any) -> None:
    table = table_of(trials("none", "batch"), contrasts=["batch - none", "layer - batch"])
    assert absent_contrasts(Analysis(table)) == ["layer - batch"]


@pytest.mark.parametrize(("norms", "contrasts", "left"), [(4, [], False), (5, [], True), (5, ["c - b"], False)])
def test_pairs_of_many_levels_are_left_out(norms: int, contrasts: list[str], left: bool, table_of: Any) -> None:
    table = table_of(trials(*"abcde"[:norms], seeds=2), contrasts=contrasts)
    assert leaves_out_pairs(Analysis(table)) == left


def test_the_family_is_the_one_that_holm_used(table_of: Any) -> None:
    """Without norm all trials diverge at the largest learning rate, so that one comparison there has no p."""
    rows = trials("none", "batch", rates=RATES)
    for row in rows:
        if (row["norm"], row["optimizer.lr"]) == ("none", 1.0):
            row["status"] = "diverged"
    named, unnamed = (
        Analysis(table_of(rows, varied=VARIED, contrasts=contrasts)).differences for contrasts in (["batch - none"], [])
    )
    assert {one.family for one in named} == {3}
    assert family_of(named) == (3, 2, 0)
    assert family_of(unnamed) == (0, 0, 2)


def test_what_could_have_been_seen_is_told_from_what_could_not(table_of: Any) -> None:
    rows = trials("none", "batch", rates=(0.1, 0.3))
    for row in rows:
        if row["optimizer.lr"] == 0.3 and row["seed"] > 1:  # two pairs are left, far apart
            row["status"] = "diverged"
        elif row["optimizer.lr"] == 0.3:
            row[names.TEST_ACC] = 0.5 + 0.4 * row["seed"] * (row["norm"] == "batch")
    first, second = Analysis(table_of(rows, varied=VARIED)).differences
    assert sight_of([first, second]) == ([first.detectable], 1)
    d = first.differences
    assert first.detectable == pytest.approx(detectable_difference(float(d.std(ddof=1)), 10))
    assert second.detectable > 1
    assert not math.isnan(second.detectable)


def test_how_learning_rates_were_chosen_is_told_apart(table_of: Any) -> None:
    rows = [{**row, names.ACC_BEST: row[names.TEST_ACC]} for row in trials("none", "batch", rates=RATES)]
    single = table_of(trials("none", "batch"))
    untuned, tuned = (table_of(rows, varied=VARIED, tuning_seeds=seeds) for seeds in ([], [8, 9]))
    choices = [rate_choice(Analysis(table)) for table in (single, untuned, tuned)]
    assert choices == [RateChoice.single, RateChoice.untuned, RateChoice.tuned]
    rows[8]["status"] = "missing"
    assert not choice_is_open(Analysis(tuned))
    assert choice_is_open(Analysis(table_of(rows, varied=VARIED, tuning_seeds=[8, 9])))


def test_reported_seeds_are_those_trained_or_else_those_planned(table_of: Any) -> None:
    assert reported_seeds(Analysis(table_of(trials("none"), tuning_seeds=[9]))) == 9
    assert reported_seeds(Analysis(table_of(trials("none", status="missing")))) == 10
    rows = trials("none")
    rows[0]["status"] = "missing"
    assert reported_seeds(Analysis(table_of(rows))) == 9


def test_conditions_that_mix_are_found_and_of_versions_only_what_differs() -> None:
    versions = ["bnbench=0.1.0 torch=2.13.0 numpy=2.3.0", "bnbench=0.1.0 torch=2.13.0 numpy=2.4.0"]
    assert mixed_conditions({"blas": ["mkl", "openblas"], "device": ["cpu"], "versions": versions}) == {
        "blas": ["mkl", "openblas"],
        "versions": ["numpy=2.3.0, numpy=2.4.0"],
    }
