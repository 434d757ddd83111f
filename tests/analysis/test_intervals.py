"""Intervals, judged by scipy's own tests, by closed forms and by how often they cover a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import mean_interval, paired_difference, proportion_interval


def test_mean_interval_is_scipys_one_sample_t_interval() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.01, 10)
    judge = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((10, values.mean(), judge.low, judge.high))


def test_paired_difference_is_scipys_paired_t_interval() -> None:
    generator = np.random.default_rng(1)
    seeds = np.arange(12)
    a, b = (pd.Series(generator.normal(mean, 0.01, 12), index=seeds) for mean in (0.95, 0.94))
    judge = stats.ttest_rel(a, b).confidence_interval(0.95)
    # Shuffled, so that the order of the rows cannot be what pairs them.
    pair = paired_difference(a.sample(frac=1, random_state=0), b)
    assert pair == pytest.approx((12, (a - b).mean(), judge.low, judge.high))


def test_paired_difference_leaves_out_seeds_that_only_one_arm_has() -> None:
    a = pd.Series([0.9, 0.8, 0.7], index=[0, 1, 2])
    b = pd.Series([0.5, 0.6, 0.1], index=[1, 2, 9])
    pair = paired_difference(a, b)
    assert pair.n == 2
    assert pair.mean == pytest.approx(0.2)


def test_paired_difference_refuses_a_seed_that_stands_twice() -> None:
    with pytest.raises(ValueError, match="seed stands twice"):
        paired_difference(pd.Series([0.9, 0.8], index=[0, 0]), pd.Series([0.9], index=[0]))


@pytest.mark.parametrize("n", [3, 10])
def test_mean_interval_covers_the_truth_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(n).normal(0.5, 0.1, (10_000, n))
    intervals = [mean_interval(draw) for draw in draws]
    covered = np.mean([i.low <= 0.5 <= i.high for i in intervals if i.low is not None and i.high is not None])
    assert 0.935 <= covered <= 0.965  # over three standard errors of the simulation on either side


def test_one_seed_has_a_mean_and_no_interval() -> None:
    interval = mean_interval([0.9])
    assert (interval.n, interval.mean, interval.low, interval.high) == (1, 0.9, None, None)
    assert interval.remark == "one seed only: no interval possible"


def test_equal_values_have_no_interval_and_say_so() -> None:
    # The differences are equal only up to rounding.
    interval = mean_interval(np.array([0.951, 0.941, 0.931]) - np.array([0.95, 0.94, 0.93]))
    assert (interval.low, interval.high) == (None, None)
    assert interval.remark == "all 3 equal: no interval"


def test_no_values_have_no_mean() -> None:
    interval = mean_interval([])
    assert interval.n == 0
    assert np.isnan(interval.mean)
    assert interval.low is None


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="count the failures"):
        mean_interval([0.9, float("nan")])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (10, 10)])
def test_proportion_interval_is_wilsons_closed_form(successes: int, n: int) -> None:
    z, p = stats.norm.ppf(0.975), successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    expected = (n, p, max(0, centre - half), min(1, centre + half))
    assert proportion_interval(successes, n) == pytest.approx(expected, abs=1e-12)
