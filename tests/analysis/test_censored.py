"""Steps with misses: each rule of comparison, judged by hand, by closed forms and by made-up truths."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import (
    compare_steps,
    expected_running_time,
    mcnemar_p,
    median_steps,
    quartiles,
    reach_curve,
    restricted_mean,
)
from bnbench.analysis.censored import Ratio

INF, BUDGET = math.inf, 1000
GRID = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
FINE = range(BUDGET + 1)


def by_seed(*steps: float) -> pd.Series:
    return pd.Series(steps, dtype=float)


def test_when_all_pairs_hit_the_ratio_is_the_t_interval_on_logs() -> None:
    a, b = by_seed(50, 100, 200, 100, 50), by_seed(20, 50, 50, 20, 50)
    found = compare_steps(a, b, BUDGET, GRID)
    judge = stats.ttest_rel(np.log(a), np.log(b))
    bounds = np.exp(judge.confidence_interval(0.95))
    assert found.kind == Ratio.exact
    assert found.ratio == pytest.approx((5, np.exp(np.log(a / b).mean()), *bounds))
    assert found.p == pytest.approx(judge.pvalue)
    assert (found.wins, found.losses, found.ties) == (0, 4, 1)


def test_a_log_ratio_does_not_depend_on_which_arm_is_named_first() -> None:
    a, b = by_seed(50, 100, 200, 100, 50), by_seed(20, 50, 50, 20, 50)
    one, other = compare_steps(a, b, BUDGET, GRID).ratio, compare_steps(b, a, BUDGET, GRID).ratio
    assert one is not None
    assert other is not None
    assert (other.low, other.high) == pytest.approx((1 / one.high, 1 / one.low))


def test_both_extremes_of_the_gaps_in_the_grid_are_given() -> None:
    # 100 was seen after 50, so it happened from 51 on; 20 after 10, so from 11 on.
    found = compare_steps(by_seed(100, 100, 100), by_seed(20, 20, 20), BUDGET, GRID)
    assert found.ratio_least is not None
    assert found.ratio_most is not None
    assert (found.ratio_least.mean, found.ratio_most.mean) == pytest.approx((51 / 20, 100 / 11))


def test_on_a_grid_without_gaps_the_extremes_are_the_ratio() -> None:
    found = compare_steps(by_seed(70, 90, 110), by_seed(20, 30, 30), BUDGET, FINE)
    assert found.ratio == found.ratio_least == found.ratio_most


def test_the_extremes_hold_the_true_ratio_that_a_linear_grid_hides() -> None:
    true_a, true_b = np.array([75.0, 76, 74, 75]), np.array([60.0, 61, 59, 60])  # 1.25 times
    coarse = range(0, BUDGET + 1, 100)
    seen_a, seen_b = (pd.Series(np.ceil(t / 100) * 100) for t in (true_a, true_b))
    found = compare_steps(seen_a, seen_b, BUDGET, coarse)
    assert found.ratio is not None
    assert found.ratio_least is not None
    assert found.ratio_most is not None
    assert found.ratio.mean == 1
    assert found.ratio_least.mean < 1.25 < found.ratio_most.mean


def test_misses_in_the_slower_arm_alone_leave_a_lower_bound() -> None:
    a, b = by_seed(INF, 200, 500, 200), by_seed(50, 50, 100, 20)
    found = compare_steps(a, b, BUDGET, GRID)
    logs = np.log([1000 / 50, 200 / 50, 500 / 100, 200 / 20])
    assert found.kind == Ratio.at_least
    assert found.ratio is not None
    assert (found.ratio.n, found.ratio.mean, found.ratio.high) == (4, pytest.approx(np.exp(logs.mean())), INF)
    assert found.p == pytest.approx(stats.ttest_1samp(logs, 0, alternative="greater").pvalue)
    mirror = compare_steps(b, a, BUDGET, GRID)
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
    found = compare_steps(pd.Series(cut), pd.Series(b), 300, range(301))
    assert found.kind == Ratio.at_least
    assert found.ratio is not None
    assert found.ratio.mean < np.exp(np.log(a / b).mean())


def test_misses_in_the_arm_that_is_faster_otherwise_leave_no_ratio() -> None:
    a, b = by_seed(1, 1, 1, INF), by_seed(500, 500, 500, 500)
    found = compare_steps(a, b, BUDGET, GRID)
    assert found.kind == Ratio.none
    assert found.ratio is None
    assert found.log_ratios.empty
    assert math.isnan(found.p)
    assert (found.wins, found.losses) == (3, 1)


def test_misses_on_both_sides_leave_wins_successes_and_restricted_means() -> None:
    a, b = by_seed(INF, 50, 20, 20, 100, 50), by_seed(100, INF, 100, 50, 100, 200)
    found = compare_steps(a, b, BUDGET, GRID)
    assert found.kind == Ratio.none
    assert (found.wins, found.losses, found.ties) == (4, 1, 1)
    judge = stats.binomtest(4, 5).proportion_ci(0.95, "exact")
    assert found.win_share == pytest.approx((5, 0.8, judge.low, judge.high))
    assert found.p_mcnemar == mcnemar_p(1, 1)
    cut = np.array([900, -950, -80, -30, 0, -150])
    restricted = stats.ttest_1samp(cut, 0).confidence_interval(0.95)
    assert found.restricted == pytest.approx((6, cut.mean(), restricted.low, restricted.high))


@pytest.mark.parametrize(("missed", "kind"), [(2, Ratio.exact), (3, Ratio.none)])
def test_above_a_fifth_of_pairs_without_any_hit_there_is_no_ratio(missed: int, kind: Ratio) -> None:
    a = by_seed(*[INF] * missed, *[100.0, 200] * 4)[:10]
    b = by_seed(*[INF] * missed, *[50.0, 20] * 4)[:10]
    found = compare_steps(a, b, BUDGET, GRID)
    assert (found.kind, found.missed_both, found.ties) == (kind, missed, missed)
    if found.ratio is not None:
        assert found.ratio.n == 8


def test_nobody_hits() -> None:
    found = compare_steps(by_seed(INF, INF), by_seed(INF, INF), BUDGET, GRID)
    assert (found.kind, found.ties, found.p_mcnemar, found.restricted.mean) == (Ratio.none, 2, 1, 0)
    assert found.win_share.low is None


def test_without_a_pair_nothing_is_said() -> None:
    found = compare_steps(pd.Series([10.0], index=[0]), pd.Series([10.0], index=[1]), BUDGET, GRID)
    assert (found.n, found.kind) == (0, Ratio.none)
    assert math.isnan(found.p_mcnemar)


@pytest.mark.parametrize("steps", [2000.0, math.nan])
def test_steps_beyond_the_budget_are_refused(steps: float) -> None:
    with pytest.raises(ValueError, match="within the budget of 1000"):
        compare_steps(by_seed(steps), by_seed(10), BUDGET, GRID)


def test_a_hit_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="step 7 is not on the evaluation grid"):
        compare_steps(by_seed(7), by_seed(10), BUDGET, GRID)


@pytest.mark.parametrize("true_ratio", [1.0, 2.0])
def test_the_ratios_interval_covers_the_truth_on_a_geometric_grid(true_ratio: float) -> None:
    generator, grid = np.random.default_rng(1), np.unique(np.floor(1.15 ** np.arange(0, 50)).astype(int))
    covered = []
    for _ in range(300):
        seed = generator.normal(4, 0.3, 10)
        a, b = (seed + generator.normal(at, 0.2, 10) for at in (np.log(true_ratio), 0))
        seen = [pd.Series(grid[np.searchsorted(grid, np.exp(x))], dtype=float) for x in (a, b)]
        ratio = compare_steps(*seen, int(grid[-1]), grid.tolist()).ratio
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        covered.append(ratio.low <= true_ratio <= ratio.high)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_quartiles_are_numpys_as_long_as_they_are_finite() -> None:
    x = np.random.default_rng(0).integers(1, 100, 11).astype(float)
    assert quartiles(x) == pytest.approx(np.quantile(x, [0.25, 0.5, 0.75]))


def test_quartiles_and_median_may_be_infinite() -> None:
    assert quartiles([10, INF, INF, INF]) == (INF, INF, INF)
    assert quartiles([10, 20, 30, 40, INF]) == (20, 30, 40)
    assert median_steps([10, INF]) == INF
    assert math.isnan(median_steps([]))


def test_a_restricted_mean_counts_a_miss_as_the_budget() -> None:
    assert restricted_mean([10, 20, INF], 100).mean == pytest.approx(130 / 3)


def test_expected_running_time_pays_for_the_misses() -> None:
    assert expected_running_time([10, 20, INF], 100) == 65
    assert expected_running_time([INF, INF], 100) == INF
    assert math.isnan(expected_running_time([], 100))


def test_expected_running_time_is_that_of_trying_until_a_hit() -> None:
    """With a hit probability p at fixed cost c and misses at the budget: c + budget (1 - p) / p."""
    steps = np.where(np.random.default_rng(2).random(20_000) < 0.4, 30.0, np.inf)
    assert expected_running_time(steps, 100) == pytest.approx(30 + 100 * 0.6 / 0.4, rel=0.03)


def test_reach_curve_is_the_ecdf_and_ends_at_the_success_rate() -> None:
    curve = reach_curve([20, 10, 20, INF])
    assert curve["step"].tolist() == [10, 20]
    assert curve["share"].tolist() == [0.25, 0.75]
    judge = stats.ecdf(stats.CensoredData.right_censored([20, 10, 20, 100], [0, 0, 0, 1])).cdf
    assert curve["share"].tolist() == pytest.approx(judge.evaluate([10, 20]).tolist())
    assert ((curve["low"] < curve["share"]) & (curve["share"] < curve["high"])).all()
