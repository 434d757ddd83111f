"""Intervals, judged by scipy's own tests and by closed forms; how often they cover stands in test_coverage.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import (
    bootstrap_t_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
    skewness,
)


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


def test_wilson_covers_about_as_often_as_it_says() -> None:
    shares = np.linspace(0.02, 0.98, 97)
    for n in (10, 20):
        odds = stats.binom.pmf(np.arange(n + 1)[:, None], n, shares)  # of each count, by share
        bounds = np.array([proportion_interval(k, n)[2:] for k in range(n + 1)], dtype=float)
        covered = (odds * ((bounds[:, :1] <= shares) & (shares <= bounds[:, 1:]))).sum(axis=0)
        assert covered.min() >= 0.80
        assert covered.mean() >= 0.945


def test_bootstrap_t_repeats_and_follows_a_shift_and_a_scale() -> None:
    values = np.exp(np.random.default_rng(4).normal(size=10))
    once, again = bootstrap_t_interval(values), bootstrap_t_interval(values)
    assert once == again
    moved = bootstrap_t_interval(3 * values + 7)
    assert moved[1:] == pytest.approx([3 * x + 7 for x in once[1:] if x is not None])


def test_bootstrap_t_reaches_further_on_the_side_of_the_long_tail() -> None:
    values = np.exp(np.random.default_rng(4).normal(size=10))
    interval = bootstrap_t_interval(values)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high - interval.mean > 1.3 * (interval.mean - interval.low)


def test_bootstrap_t_is_scipys_studentized_bootstrap_in_the_limit() -> None:
    values = np.exp(np.random.default_rng(5).normal(size=15))
    generator = np.random.default_rng(6)
    drawn = generator.choice(values, (200_000, 15))
    t = (drawn.mean(axis=1) - values.mean()) / (drawn.std(axis=1, ddof=1) / np.sqrt(15))
    se = values.std(ddof=1) / np.sqrt(15)
    expected = values.mean() - np.quantile(t, [0.975, 0.025]) * se
    assert bootstrap_t_interval(values)[2:] == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1, 0.1]])
def test_bootstrap_t_has_an_interval_where_the_paired_t_has(values: list[float]) -> None:
    assert bootstrap_t_interval(values) == pytest.approx(mean_interval(values), nan_ok=True)


def test_bootstrap_t_has_infinite_bounds_where_too_many_resamples_are_equal() -> None:
    assert bootstrap_t_interval([0.1, 0.2, 0.4])[2:] == (-np.inf, np.inf)
    assert bootstrap_t_interval([0.1, 0.1, 0.1, 0.1, 0.4]).high == np.inf


def test_skewness_is_pandas_own_and_nan_where_there_is_none() -> None:
    values = np.exp(np.random.default_rng(7).normal(size=9))
    assert skewness(values) == pytest.approx(pd.Series(values).skew())
    assert np.isnan(skewness([1.0, 2.0]))
    assert np.isnan(skewness([1.0, 1.0, 1.0]))
