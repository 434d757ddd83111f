"""Tests of paired differences and of paired successes, and what several of them are worth together.

Tests are exact where possible. No p value stands alone: the interval beside it says how large the difference is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bnbench.analysis.intervals import are_equal

Alternative = Literal["two-sided", "greater", "less"]

ALPHA = 0.05
"""The significance level of every test; every interval covers 1 - ALPHA."""

_MOST_EXACT = 40  # pairs of which all sign flips are counted, by 2 * 2^20 sums; with more, flips are drawn
_DRAWN_FLIPS = 99_999


def paired_t_p(differences: ArrayLike, margin: float = 0.0, alternative: Alternative = "two-sided") -> float:
    """The p value of the paired t test that the mean difference is `margin`, or lies on the other side of it.

    It equals that of `scipy.stats.ttest_1samp` but for the last digits; reports have always recorded the digits of this
    formula.

    Args:
        differences: One difference per pair.
        margin: The mean under H0: "greater" tests H0: mean <= margin, "less" H0: mean >= margin.
        alternative: On which side of the margin the mean may be shown to lie.

    Returns:
        The p value; NaN for fewer than two pairs or equal differences, which have no spread to test against.
    """
    from scipy.stats import t

    d = np.asarray(differences, dtype=float)
    if len(d) < 2 or are_equal(d):
        return math.nan
    statistic = (d.mean() - margin) / (d.std(ddof=1) / math.sqrt(len(d)))
    if alternative == "two-sided":
        return float(2 * t.sf(abs(statistic), len(d) - 1))
    return float(t.sf(statistic if alternative == "greater" else -statistic, len(d) - 1))


def sign_flip_p(differences: ArrayLike, margin: float = 0.0, alternative: Alternative = "two-sided") -> float:
    """The share of all sign patterns of (difference - margin) whose sum is at least as extreme as the one seen.

    It assumes only that differences are symmetric about the margin under H0. Two-sided it cannot fall below
    2 / 2^n: .0625 at five pairs. Exact up to 40 pairs; beyond, from 99,999 patterns drawn from a fixed seed.

    Args:
        differences: One difference per pair.
        margin: As in `paired_t_p`.
        alternative: As in `paired_t_p`.

    Returns:
        The p value; NaN without a pair.
    """
    d = np.asarray(differences, dtype=float) - margin
    if len(d) == 0:
        return math.nan
    d = -d if alternative == "less" else d
    seen, slack = float(d.sum()), 1e-9 * float(np.abs(d).sum())  # sums in another order differ by rounding
    if alternative == "two-sided":
        seen = abs(seen)
        return 1.0 if seen <= slack else min(1.0, 2 * _share_of_flips(d, seen - slack))
    return _share_of_flips(d, seen - slack)


def _share_of_flips(d: np.ndarray, least: float) -> float:
    """The share of sign patterns with a sum >= `least`, counted by meeting in the middle."""
    if len(d) > _MOST_EXACT:
        signs = np.random.Generator(np.random.PCG64(20150211)).integers(0, 2, (_DRAWN_FLIPS, len(d)))
        return (1 + int(((2.0 * signs - 1) @ d >= least).sum())) / (1 + _DRAWN_FLIPS)
    half = len(d) // 2
    left, right = _flipped_sums(d[:half]), np.sort(_flipped_sums(d[half:]))
    at_least = len(right) - np.searchsorted(right, least - left)  # for each sum of the left half
    return float(at_least.sum() / 2.0 ** len(d))


def _flipped_sums(d: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: if those <= alpha are rejected, the chance of any false rejection is at most alpha.

    The family is the whole list. A NaN, a planned test that could not be made, stays NaN and still counts.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [math.nan] * len(ps), 0.0
    tested = sorted((i for i in range(len(ps)) if not math.isnan(ps[i])), key=lambda i: ps[i])
    for rank, i in enumerate(tested):
        largest = max(largest, (len(ps) - rank) * ps[i])
        adjusted[i] = min(1.0, largest)
    return adjusted


def equivalence_p(differences: ArrayLike, margin: float) -> float:
    """The p value of two one-sided t tests: small where the mean difference surely lies within ±margin.

    Args:
        differences: One difference per pair.
        margin: The smallest difference that matters, > 0.

    Returns:
        The larger of the two p values; NaN as in `paired_t_p`.

    Raises:
        ValueError: If the margin is not positive.

    References:
        Schuirmann (1987), A comparison of the two one-sided tests procedure.
    """
    if not margin > 0:
        raise ValueError(f"margin={margin} is not allowed; equivalence needs a margin > 0")
    low, high = paired_t_p(differences, -margin, "greater"), paired_t_p(differences, margin, "less")
    return math.nan if math.isnan(low) else max(low, high)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """The exact p value of the test that two paired success rates are equal; pairs that agree do not count.

    Args:
        only_a: Number of pairs in which only a succeeded.
        only_b: Number of pairs in which only b succeeded.

    >>> mcnemar_p(6, 0), mcnemar_p(0, 0)
    (0.03125, 1.0)
    """
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def seeds_suffice(n: int, family: int, alpha: float = ALPHA) -> bool:
    """Whether the smallest sign-flip p value that n pairs can have survives Holm in a family of this size.

    >>> [max(f for f in range(60) if seeds_suffice(n, f)) for n in (5, 6, 8, 10)]
    [0, 1, 6, 25]
    """
    return family * 2.0 ** (1 - n) <= alpha
