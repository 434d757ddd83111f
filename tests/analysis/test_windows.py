"""Learning-rate windows: their width in decades, what cuts them, and their paired difference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis import Analysis
from bnbench.record import names

RATES = [10.0**k for k in (-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1)]
VARIED = ["optimizer.lr", "norm", "seed"]


def arm(norm: str, first: int, last: int, seeds: int = 10, **more: Any) -> list[dict[str, Any]]:
    """Trials that train at RATES[first : last + 1] and nowhere else; some diverge elsewhere, some collapse."""
    rows = []
    for i, lr in enumerate(RATES):
        for seed in range(seeds):
            row: dict[str, Any] = {"norm": norm, "optimizer.lr": lr, "seed": seed, "data": "mnist_5k"} | more
            if not first <= i <= last:
                row |= {"status": "diverged", names.TEST_ACC: math.nan} if seed % 2 else {names.TEST_ACC: 0.1}
            rows.append(row)
    return rows


def test_a_window_is_where_four_fifths_of_the_seeds_train(table_of: Any) -> None:
    rows = arm("none", 2, 4)
    for row in rows:
        # Two of ten fail at 0.01, which still trains; three of ten at 0.1, which does not.
        if (row["optimizer.lr"], row["seed"]) in {(RATES[2], 0), (RATES[2], 1), *((RATES[4], s) for s in range(3))}:
            row |= {"status": "diverged", names.TEST_ACC: math.nan}
    (window,) = Analysis(table_of(rows, varied=VARIED)).windows
    assert (window.smallest, window.largest, window.holes, window.seeds) == (RATES[2], RATES[3], 0, 10)
    assert window.decades == pytest.approx(1)
    assert not window.at_low_edge
    assert not window.at_high_edge


def test_a_window_that_ends_with_the_grid_says_so_and_one_with_a_hole_too(table_of: Any) -> None:
    rows = arm("none", 0, 8)
    for row in rows:
        if row["optimizer.lr"] == RATES[5]:
            row |= {"status": "diverged", names.TEST_ACC: math.nan}
    (window,) = Analysis(table_of(rows, varied=VARIED)).windows
    assert (window.at_low_edge, window.at_high_edge, window.holes) == (True, True, 1)
    assert window.decades == pytest.approx(8 * 0.5)


def test_a_level_that_trains_nowhere_has_a_window_of_zero(table_of: Any) -> None:
    (window,) = Analysis(table_of(arm("none", 9, 9), varied=VARIED)).windows
    assert (window.decades, window.holes) == (0, 0)
    assert math.isnan(window.largest)


def test_windows_differ_by_the_paired_t_interval_over_seeds(table_of: Any) -> None:
    rows = arm("none", 2, 3) + arm("batch", 2, 6)
    for row in rows:  # three seeds of batch lose their largest learning rate
        if row["norm"] == "batch" and row["optimizer.lr"] == RATES[6] and row["seed"] < 3:
            row |= {"status": "diverged", names.TEST_ACC: math.nan}
    (found,) = Analysis(table_of(rows, varied=VARIED)).window_differences
    d = np.array([1.0] * 3 + [1.5] * 7)
    judge = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (found.a, found.b, found.width.n) == ("batch", "none", 10)
    for interval in (found.width, found.largest):
        assert interval == pytest.approx((10, d.mean(), judge.low, judge.high))


def test_a_seed_without_all_its_trials_has_no_window(table_of: Any) -> None:
    rows = arm("none", 2, 3) + arm("batch", 2, 6)
    rows[0]["status"] = "missing"
    assert Analysis(table_of(rows, varied=VARIED)).window_differences[0].width.n == 9


def test_strata_have_windows_of_their_own(table_of: Any) -> None:
    rows = arm("none", 2, 3, model="fc") + arm("none", 2, 5, model="cnn")
    fc, cnn = Analysis(table_of(rows, varied=["model", *VARIED])).windows
    assert (fc.where, cnn.where) == ({"model": "fc"}, {"model": "cnn"})
    assert (fc.decades, cnn.decades) == pytest.approx((1, 2))


def test_without_a_grid_of_learning_rates_there_is_no_window(table_of: Any) -> None:
    assert Analysis(table_of([{}])).windows == []
    assert Analysis(table_of([{}])).window_differences == []
