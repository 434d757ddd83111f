"""Steps with misses: each rule of comparison, judged by hand, by closed forms and by made-up truths."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import (
    compare_steps,
    mcnemar_p,
)
from bnbench.analysis.censored import Ratio

INF, BUDGET = math.inf, 1000


def by_seed(*steps: float) -> pd.Series:
    return pd.Series(steps, dtype=float)


def test_when_all_pairs_hit_the_ratio_is_the_t_interval_on_logs() -> None:
    a, b = by_seed(50, 100, 200, 100, 50), by_seed(20, 50, 50, 20, 50)
    found = compare_steps(a, b, BUDGET)
    judge = stats.ttest_rel(np.log(a), np.log(b))
    bounds = np.exp(judge.confidence_interval(0.95))
    assert found.kind == Ratio.exact
    assert found.ratio == pytest.approx((5, np.exp(np.log(a / b).mean()), *bounds))
    assert found.p == pytest.approx(judge.pvalue)


def test_a_log_ratio_does_not_depend_on_which_arm_is_named_first() -> None:
    a, b = by_seed(50, 100, 200, 100, 50), by_seed(20, 50, 50, 20, 50)
    one, other = compare_steps(a, b, BUDGET).ratio, compare_steps(b, a, BUDGET).ratio
    assert one is not None
    assert other is not None
    assert (other.low, other.high) == pytest.approx((1 / one.high, 1 / one.low))


def test_misses_in_the_slower_arm_alone_leave_a_lower_bound() -> None:
    a, b = by_seed(INF, 200, 500, 200), by_seed(50, 50, 100, 20)
    found = compare_steps(a, b, BUDGET)
    logs = np.log([1000 / 50, 200 / 50, 500 / 100, 200 / 20])
    assert found.kind == Ratio.at_least
    assert found.ratio is not None
    assert (found.ratio.n, found.ratio.mean, found.ratio.high) == (4, pytest.approx(np.exp(logs.mean())), INF)
    assert found.p == pytest.approx(stats.ttest_1samp(logs, 0, alternative="greater").pvalue)
    mirror = compare_steps(b, a, BUDGET)
    assert mirror.kind == Ratio.at_most
    assert mirror.ratio is not None
    assert found.ratio.low is not None
    assert (mirror.ratio.low, mirror.ratio.high) == (0, pytest.approx(1 / found.ratio.low))


def test_a_lower_bound_is_below_the_truth_that_was_cut_off() -> None:
    generator = np.random.default_rng(0)
    b = np.ceil(np.exp(generator.normal(4, 0.3, 20)))
    a = np.ceil(5 * b * np.exp(generator.normal(0, 0.3, 20)))
    cut = np.where(a > 300, np.inf, a)
    assert 0 < np.isinf(cut).sum() < 20
    found = compare_steps(pd.Series(cut), pd.Series(b), 300)
    assert found.kind == Ratio.at_least
    assert found.ratio is not None
    assert found.ratio.mean < np.exp(np.log(a / b).mean())


def test_misses_in_the_arm_that_is_faster_otherwise_leave_no_ratio() -> None:
    a, b = by_seed(1, 1, 1, INF), by_seed(500, 500, 500, 500)
    found = compare_steps(a, b, BUDGET)
    assert found.kind == Ratio.none
    assert found.ratio is None
    assert found.log_ratios.empty
    assert math.isnan(found.p)


def test_misses_on_both_sides_leave_successes_alone() -> None:
    a, b = by_seed(INF, 50, 20, 20, 100, 50), by_seed(100, INF, 100, 50, 100, 200)
    found = compare_steps(a, b, BUDGET)
    assert found.kind == Ratio.none
    assert (found.reached_a, found.reached_b, found.ratio) == (5, 5, None)
    assert found.p_mcnemar == mcnemar_p(1, 1)


@pytest.mark.parametrize(("missed", "kind"), [(2, Ratio.exact), (3, Ratio.none)])
def test_above_a_fifth_of_pairs_without_any_hit_there_is_no_ratio(missed: int, kind: Ratio) -> None:
    a = by_seed(*[INF] * missed, *[100.0, 200] * 4)[:10]
    b = by_seed(*[INF] * missed, *[50.0, 20] * 4)[:10]
    found = compare_steps(a, b, BUDGET)
    assert (found.kind, found.reached_a, found.reached_b) == (kind, 10 - missed, 10 - missed)
    if found.ratio is not None:
        assert found.ratio.n == 8


def test_nobody_hits() -> None:
    found = compare_steps(by_seed(INF, INF), by_seed(INF, INF), BUDGET)
    assert (found.kind, found.reached_a, found.reached_b, found.p_mcnemar) == (Ratio.none, 0, 0, 1)


def test_without_a_pair_nothing_is_said() -> None:
    found = compare_steps(pd.Series([10.0], index=[0]), pd.Series([10.0], index=[1]), BUDGET)
    assert (found.n, found.kind) == (0, Ratio.none)
    assert math.isnan(found.p_mcnemar)


@pytest.mark.parametrize("steps", [2000.0, math.nan])
def test_steps_beyond_the_budget_are_refused(steps: float) -> None:
    with pytest.raises(ValueError, match="within the budget of 1000"):
        compare_steps(by_seed(steps), by_seed(10), BUDGET)


@pytest.mark.parametrize("true_ratio", [1.0, 2.0])
def test_the_ratios_interval_covers_the_truth_on_a_geometric_grid(true_ratio: float) -> None:
    generator, grid = np.random.default_rng(1), np.unique(np.floor(1.15 ** np.arange(0, 50)).astype(int))
    covered = []
    for _ in range(300):
        seed = generator.normal(4, 0.3, 10)
        a, b = (seed + generator.normal(at, 0.2, 10) for at in (np.log(true_ratio), 0))
        seen = [pd.Series(grid[np.searchsorted(grid, np.exp(x))], dtype=float) for x in (a, b)]
        ratio = compare_steps(*seen, int(grid[-1])).ratio
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        covered.append(ratio.low <= true_ratio <= ratio.high)
    assert 0.91 <= np.mean(covered) <= 0.99
