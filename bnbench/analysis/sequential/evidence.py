"""What paired differences say at one look: one-sided p values of lying above, below or within a margin.

Everything here works on arrays of samples at once, so that simulations and estimates run what a sweep runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bnbench.analysis.sequential.boundaries import Boundary

SKEWNESS_ALLOWED = 1.8
"""How much skewness is allowed for, as a multiple of the sample's; with 1.6, 5.8 % of skewed pairs err."""

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

    Each p value is the larger of two: that of the paired t test, and that of Hall's, which corrects t for skewness.
    Skewed differences are claimed far too often by t alone, and by Hall's alone where they have heavy tails on both
    sides. Small samples show too little of their skewness, so 1.8 times as much is allowed for. Differences that are
    all equal have no spread; a sign-flip test then takes the place of t, whose one-sided p value is 2^-n for n equal
    differences beyond the margin.

    Args:
        differences: Paired differences, with the pairs along the last axis.
        margin: The smallest difference that matters; None asks only whether the mean differs from 0.

    References:
        Hall (1992), On the removal of skewness by transformation.
    """
    sample = summarize(np.asarray(differences, dtype=float))
    mirrored = sample._replace(mean=-sample.mean, skewness=-sample.skewness)
    above, below = (_p_above(side, margin or 0.0) for side in (sample, mirrored))
    if margin is None:
        return Evidence(above, below, np.ones_like(above))
    return Evidence(above, below, np.maximum(_p_above(sample, -margin), _p_above(mirrored, -margin)))


class Sample(NamedTuple):
    """Samples in four numbers each.

    Attributes:
        n: The number of pairs that count.
        mean: Their mean.
        sd: Their standard deviation, divisor n - 1; 0 where all are equal.
        skewness: Their skewness as it is allowed for; 0 where all are equal.
    """

    n: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    skewness: np.ndarray


def summarize(d: np.ndarray) -> Sample:
    """The samples along the last axis; see `weigh`."""
    counts = ~np.isnan(d)
    n = counts.sum(-1)
    mean = np.where(counts, d, 0.0).sum(-1) / np.maximum(n, 1)
    apart = np.where(counts, d - mean[..., None], 0.0)
    squares = (apart * apart).sum(-1)
    sd = np.sqrt(squares / np.maximum(n - 1, 1))
    equal = sd <= _NO_SPREAD * np.maximum(1.0, np.abs(mean))
    cubes = (apart * apart * apart).sum(-1) / np.where(equal, 1.0, squares) ** 1.5 * np.sqrt(n)
    unbiased = np.sqrt(n * np.maximum(n - 1, 0)) / np.maximum(n - 2, 1)
    return Sample(n, mean, np.where(equal, 0.0, sd), np.where(equal, 0.0, SKEWNESS_ALLOWED * unbiased * cubes))


def _p_above(sample: Sample, margin: float) -> np.ndarray:
    from scipy.special import stdtr

    n, mean, sd, skewness = sample
    distance = (mean - margin) / np.where(sd > 0, sd, 1.0)
    corrected = distance + skewness * distance**2 / 3 + skewness**2 * distance**3 / 27 + skewness / np.maximum(6 * n, 1)
    by_t = stdtr(np.maximum(n - 1, 1), -np.minimum(distance, corrected) * np.sqrt(n))
    by_signs = np.where(mean > margin, 0.5**n, 1.0)
    return np.where(n < 2, 1.0, np.where(sd > 0, by_t, by_signs))
