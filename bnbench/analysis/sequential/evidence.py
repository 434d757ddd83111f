"""What paired differences say at one look: one-sided p values of lying above, below or within a margin.

Everything here works on arrays of samples at once, so that simulations and estimates run what a sweep runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bnbench.analysis.sequential.boundaries import Boundary

_NO_SPREAD = 1e-12  # as `intervals.are_equal` has it: equal accuracies differ by rounding


class Evidence(NamedTuple):
    """One-sided p values of samples of paired differences; 1 where there are fewer than two.

    Attributes:
        above: Of the null hypothesis that the mean is at most the margin.
        below: Of the null hypothesis that the mean is at least minus the margin.
        within: Of the null hypothesis that the mean is as far from 0 as the margin or farther; 1 without a margin.
    """

    above: np.ndarray
    below: np.ndarray
    within: np.ndarray

    def differs(self, boundary: Boundary) -> np.ndarray:
        """Whether the mean is shown to lie beyond the margin, on either side."""
        return np.asarray(np.minimum(self.above, self.below) <= boundary.side)

    def equivalent(self, boundary: Boundary) -> np.ndarray:
        """Whether the mean is shown to lie within the margin."""
        return np.asarray(self.within <= boundary.within)


def weigh(differences: ArrayLike, margin: float | None) -> Evidence:
    """The evidence of samples, shape (..., n); a NaN is a pair that does not count.

    The tests are paired t tests. Differences that are all equal have no spread; a sign-flip test then takes the place
    of t, whose one-sided p value of n equal differences beyond the margin is 2^-n.

    Args:
        differences: Paired differences, with the pairs along the last axis.
        margin: The smallest difference that matters; None asks only whether the mean differs from 0.
    """
    sample = _summarize(np.asarray(differences, dtype=float))
    above, below = (_p_above(sample._replace(mean=side * sample.mean), margin or 0.0) for side in (1, -1))
    if margin is None:
        return Evidence(above, below, np.ones_like(above))
    over, under = (_p_above(sample._replace(mean=side * sample.mean), -margin) for side in (1, -1))
    return Evidence(above, below, np.maximum(over, under))


class _Sample(NamedTuple):
    n: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


def _summarize(d: np.ndarray) -> _Sample:
    counts = ~np.isnan(d)
    n = counts.sum(-1)
    mean = np.where(counts, d, 0.0).sum(-1) / np.maximum(n, 1)
    apart = np.where(counts, d - mean[..., None], 0.0)
    return _Sample(n, mean, np.sqrt((apart**2).sum(-1) / np.maximum(n - 1, 1)))


def _p_above(sample: _Sample, margin: float) -> np.ndarray:
    from scipy.special import stdtr

    n, mean, sd = sample
    equal = sd <= _NO_SPREAD * np.maximum(1.0, np.abs(mean))
    statistic = (mean - margin) / np.where(equal, 1.0, sd) * np.sqrt(n)
    by_t = stdtr(np.maximum(n - 1, 1), -statistic)
    by_signs = np.where(mean > margin, 0.5**n, 1.0)
    return np.where(n < 2, 1.0, np.where(equal, by_signs, by_t))
