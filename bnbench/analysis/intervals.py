"""Estimates with their intervals: a mean, a paired difference, a proportion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["Interval", "mean_interval", "paired_difference", "proportion_interval"]


class Interval(NamedTuple):
    """An estimate, its interval and how many values or pairs stand behind it.

    `low` and `high` are None where no interval exists; `remark` then says why.
    """

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def remark(self) -> str:
        """Why there is no interval; empty if there is one."""
        if self.low is not None:
            return ""
        if self.n < 2:
            return "one seed only: no interval possible" if self.n else "no values"
        return f"all {self.n} equal: no interval"


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The mean and its Student t interval.

    Args:
        values: One value a seed. The interval assumes that they are independent and near normal.
        level: Coverage, in (0, 1).

    Raises:
        ValueError: If a value is not finite: a failure is counted, not averaged.
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).all():
        raise ValueError("a mean over values that are not finite has no meaning; count the failures instead")
    n = len(x)
    if n == 0:
        return Interval(0, float("nan"), None, None)
    mean = float(x.mean())
    # Equal accuracies give differences that are equal up to rounding.
    if n == 1 or np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return Interval(n, mean, None, None)
    half = float(t.ppf((1 + level) / 2, n - 1) * x.std(ddof=1) / np.sqrt(n))
    return Interval(n, mean, mean - half, mean + half)


def paired_difference(a: pd.Series[float], b: pd.Series[float], level: float = 0.95) -> Interval:
    """The mean of a - b over the seeds that both have, and its paired t interval.

    Args:
        a: One value a seed, indexed by seed.
        b: The same for the other arm.
        level: Coverage, in (0, 1).

    Raises:
        ValueError: If a seed stands twice in one arm: there would be no telling which is its pair.
    """
    if not (a.index.is_unique and b.index.is_unique):
        raise ValueError("a seed stands twice in one arm: pairs need one trial a seed")
    seeds = a.index.intersection(b.index)
    return mean_interval(a.loc[seeds].to_numpy() - b.loc[seeds].to_numpy(), level)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """A share of successes and its Wilson interval, which exists even at 0 of n and n of n."""
    from scipy.stats import binomtest

    if n == 0:
        return Interval(0, float("nan"), None, None)
    bounds = binomtest(successes, n).proportion_ci(level, method="wilson")
    return Interval(n, successes / n, float(bounds.low), float(bounds.high))
