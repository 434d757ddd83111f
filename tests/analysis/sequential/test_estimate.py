"""The estimate after several looks has no bias, whatever the distribution; its interval covers what it says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq

from bnbench.analysis.sequential.boundaries import Boundary
from bnbench.analysis.sequential.estimate import estimate, stopped_interval
from bnbench.analysis.sequential.evidence import weigh

SKEWED = (-0.6, 0.1, 0.4, 2.5)


@pytest.mark.parametrize("margin", [None, 1.2])
def test_the_estimate_is_unbiased_over_all_samples_there_are(margin: float | None) -> None:
    """Each of the 1,024 samples of five values is as probable; many stop at the third."""
    look = Boundary(3, side=0.2, within=0.2)
    plain, told = [], []
    for sample in map(np.array, product(SKEWED, repeat=5)):
        found = weigh(sample[:3], margin)
        stops = bool(found.differs(look) | found.equivalent(look))
        seen = sample[:3] if stops else sample
        plain.append(seen.mean())
        told.append(estimate(seen, margin, [] if stops else [look], orders=300))
    assert abs(np.mean(plain) - np.mean(SKEWED)) > 0.02
    assert np.mean(told) == pytest.approx(np.mean(SKEWED), abs=0.004)


def test_the_estimate_after_one_look_is_the_plain_mean() -> None:
    assert estimate(np.array([1.0, np.nan, 3.0]), None, []) == 2.0


def test_the_estimate_skips_pairs_that_do_not_count_and_is_the_same_each_time() -> None:
    look = Boundary(10, side=0.001, within=0.001)
    d = np.random.default_rng(1).normal(0.3, 1, 24)
    d[[3, 15]] = np.nan
    found = estimate(d, None, [look])
    assert found == estimate(d, None, [look])
    assert found == pytest.approx(float(np.nanmean(d)), abs=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_holds_the_means_that_the_tests_do_not_reject(seed: int) -> None:
    d = np.random.default_rng(seed).exponential(1, 12) * (-1) ** seed
    low, high = stopped_interval(d, 0.02) or (0.0, 0.0)
    for bound, p in ((low, "above"), (high, "below")):
        root = brentq(lambda mean, p=p: float(getattr(weigh(d - mean, None), p)) - 0.02, bound - 0.3, bound + 0.3)
        assert root == pytest.approx(bound, abs=1e-9)


def test_equal_differences_have_no_interval() -> None:
    assert stopped_interval(np.full(10, 0.1) + 0.2, 0.02) is None
    assert stopped_interval(np.array([0.1]), 0.02) is None
