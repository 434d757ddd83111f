"""How often the intervals cover a truth that is known; `pytest -s` prints the table in analysis/intervals.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import ArrayLike

from bnbench.analysis import Interval, bootstrap_t_interval, mean_interval, sign_flip_p

DRAWS = 4000  # the standard error of a coverage of .95 is .0034
SIZES = (5, 10, 20)
TRUTH = {"normal": 0.0, "rounded": 0.0, "lognormal": float(np.exp(0.5))}


def draw(data: str, n: int) -> np.ndarray:
    """Paired differences, shape (DRAWS, n), whose mean is TRUTH[data]."""
    normal = np.random.default_rng([list(TRUTH).index(data), n]).standard_normal((DRAWS, n))
    if data == "lognormal":
        return np.exp(normal)
    # Test accuracies of a thousand images: two and a half images of spread, counted in whole ones.
    return np.round(2.5 * normal) if data == "rounded" else normal


def coverage(interval: Callable[[ArrayLike], Interval], data: str, n: int) -> float:
    """The share of samples whose interval holds the truth; without an interval, only a mean equal to it does."""
    found = (interval(values) for values in draw(data, n))
    bounds = np.array([(i.mean, i.mean) if i.low is None else (i.low, i.high) for i in found])
    return float(np.mean((bounds[:, 0] <= TRUTH[data]) & (TRUTH[data] <= bounds[:, 1])))


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[tuple[str, str, int], float]]:
    """Coverages by method, data and n; what the tests asked for is printed when they are done."""
    found: dict[tuple[str, str, int], float] = {}
    yield found
    for data in TRUTH:
        for method in ("paired t", "bootstrap-t"):
            print(f"{data:9s} {method:11s} " + "/".join(f"{found[method, data, n]:.3f}" for n in SIZES))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("data", ["normal", "rounded"])
def test_paired_t_covers_near_normal_differences(
    measured: dict[tuple[str, str, int], float], data: str, n: int
) -> None:
    measured["paired t", data, n] = coverage(mean_interval, data, n)
    assert 0.935 <= measured["paired t", data, n] <= 0.965


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("data", ["normal", "rounded"])
def test_bootstrap_t_covers_near_normal_differences(
    measured: dict[tuple[str, str, int], float], data: str, n: int
) -> None:
    measured["bootstrap-t", data, n] = coverage(bootstrap_t_interval, data, n)
    assert 0.93 <= measured["bootstrap-t", data, n] <= 0.97


@pytest.mark.parametrize("n", SIZES)
def test_bootstrap_t_covers_skewed_differences_better_than_t(
    measured: dict[tuple[str, str, int], float], n: int
) -> None:
    student = measured["paired t", "lognormal", n] = coverage(mean_interval, "lognormal", n)
    bootstrap = measured["bootstrap-t", "lognormal", n] = coverage(bootstrap_t_interval, "lognormal", n)
    assert 0.80 <= student < 0.925  # too seldom, as it is known to
    assert student + 0.02 <= bootstrap <= 0.96


@pytest.mark.parametrize("n", [6, 10, 20])
def test_sign_flip_p_rejects_a_true_null_no_more_often_than_it_says(n: int) -> None:
    rejected = np.mean([sign_flip_p(values) <= 0.05 for values in draw("normal", n)[:2000]])
    assert rejected <= 0.065
