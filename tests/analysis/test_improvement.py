"""Probability of improvement, profiles and interquartile means, judged by hand and by how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    proportion_interval,
)


def test_probability_of_improvement_is_the_share_of_pairs_won_and_half_those_tied() -> None:
    a = pd.Series([0.9, 0.8, 0.951, 0.7], index=[0, 1, 2, 9])
    b = pd.Series([0.941, 0.8, 0.85], index=[2, 1, 0])
    expected = proportion_interval(2.5, 3)
    assert probability_of_improvement(a, b) == expected
    assert probability_of_improvement(a, b, "lower").mean == pytest.approx(0.5 / 3)


def test_equal_up_to_rounding_is_a_tie() -> None:
    a, b = pd.Series([0.1 + 0.2]), pd.Series([0.3])
    assert probability_of_improvement(a, b).mean == 0.5


def test_probability_of_improvement_covers_the_truth() -> None:
    truth = 0.758  # P(difference > 0) of normal differences with mean .7 and sd 1
    draws = np.random.default_rng(0).normal(0.7, 1, (3000, 10))
    intervals = [probability_of_improvement(pd.Series(d), pd.Series(np.zeros(10))) for d in draws]
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in intervals if i.low and i.high]) <= 0.99


SCORES = {"a": [0.1, 0.5], "b": [0.5, 0.9], "c": [0.5, 0.5], "d": [0.2, -math.inf]}


def test_a_profile_is_the_mean_over_workloads_of_the_share_of_runs_above() -> None:
    profile = performance_profile(SCORES)
    assert profile["threshold"].tolist() == [0.1, 0.2, 0.5, 0.9]
    assert profile["share"].tolist() == [(1 + 1 + 1 + 0.5) / 4, (0.5 + 1 + 1 + 0.5) / 4, 2.5 / 4, 0.5 / 4]
    assert ((profile["low"] <= profile["share"]) & (profile["share"] <= profile["high"])).all()


def test_workloads_weigh_the_same_whatever_their_number_of_seeds() -> None:
    profile = performance_profile({**SCORES, "d": [1.0] * 50}, thresholds=[0.95])
    assert profile["share"].tolist() == [0.25]


def test_a_profile_needs_four_workloads() -> None:
    with pytest.raises(ValueError, match="at least 4 workloads, not 3"):
        performance_profile({k: SCORES[k] for k in "abc"})


def test_a_workload_without_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="workload 'c' has no scores"):
        interquartile_mean({**SCORES, "c": []})
    with pytest.raises(ValueError, match="no workload"):
        interquartile_mean({})


def test_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert interquartile_mean({"a": [0.0, 1.0, 2.0, 100.0], "b": [3.0, 4.0, 5.0, -100.0]}).mean == 2.5


@pytest.mark.parametrize(("n", "least", "most"), [(5, 0.80, 0.92), (10, 0.87, 0.95), (20, 0.90, 0.97)])
def test_interquartile_mean_covers_as_its_docstring_says(n: int, least: float, most: float) -> None:
    draws = np.random.default_rng(n).normal(0, 1, (300, n))
    intervals = [interquartile_mean({"one": d.tolist()}) for d in draws]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals if i.low is not None and i.high is not None])
    print(f"interquartile mean, n = {n}: {covered:.3f}")
    assert least <= covered <= most
