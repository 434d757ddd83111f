"""Steps to a target that some trials never reach: described and compared without dropping or averaging the misses.

Steps are one number a trial, indexed by seed where two arms are paired: the evaluation that first saw the target,
infinity where none did. A trial that diverged before is such a miss: it counts to the whole budget, and is not censored
at its end, which its failure chose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bnbench.analysis.intervals import (
    Interval,
    exact_proportion_interval,
    mean_interval,
    pair_by_seed,
    proportion_interval,
)
from bnbench.analysis.significance import mcnemar_p, paired_t_p

__all__ = [
    "Ratio",
    "StepsComparison",
    "compare_steps",
    "expected_running_time",
    "median_steps",
    "quartiles",
    "reach_curve",
    "restricted_mean",
]

_MOST_CENSORED = 0.2  # of the pairs, in both arms; above, what is left says too little of the whole


class Ratio(StrEnum):
    """What the ratio of two arms' steps, a / b, is known to be."""

    exact = "exact"  # every pair it counts reached the target twice
    at_least = "at_least"  # only a has misses, and is the slower
    at_most = "at_most"  # only b has misses, and is the slower
    none = "none"  # too many pairs missed it twice, or both arms have misses of their own


@dataclass(frozen=True, eq=False)
class StepsComparison:
    """How two arms' steps to a target compare, pair by pair.

    Attributes:
        n: Pairs.
        reached_a, reached_b: Pairs in which that arm reached the target.
        missed_both: Pairs in which neither did.
        kind: What is known of the ratio.
        log_ratios: Natural log of steps a / b by seed, of the pairs that the ratio rests on; a miss stands at the
            budget, so that these are bounds where `kind` says so. Empty where there is no ratio.
        ratio: Geometric mean of the ratio and its t interval on logs; None where there is no ratio. A bound that
            misses leave open is 0 or infinity.
        ratio_least, ratio_most: The same where every true first hit lies at the end of its gap in the evaluation grid
            that makes the ratio smallest, and largest.
        p: Paired t on the log ratios, H0: equal; one-sided where misses make the ratio a bound; NaN without a ratio.
        wins, losses, ties: Pairs in which a took fewer steps, more, as many (both missing it included).
        win_share: Wins among untied pairs, Clopper-Pearson.
        p_mcnemar: Exact p that both arms are equally likely to reach the target.
        restricted: Mean of min(steps, budget), a - b, in steps, with its paired t interval.
    """

    n: int
    reached_a: int
    reached_b: int
    missed_both: int
    kind: Ratio
    log_ratios: pd.Series[float]
    ratio: Interval | None
    ratio_least: Interval | None
    ratio_most: Interval | None
    p: float
    wins: int
    losses: int
    ties: int
    win_share: Interval
    p_mcnemar: float
    restricted: Interval


def compare_steps(
    a: pd.Series[float], b: pd.Series[float], budget: float, grid: Sequence[int], level: float = 0.95
) -> StepsComparison:
    """Compare two arms' steps to a target over the seeds that both have.

    All pairs reached: the ratio. Misses in the slower arm alone: a bound on it, over the pairs of which one reached.
    More than 20 % of pairs without any hit, misses in both arms on different seeds, or in an arm that is not the
    slower: no ratio. Wins, success rates and restricted means stand in its place; they are given always.

    Args:
        a: Steps by seed, on the evaluation grid; infinity where the target was not reached within the budget.
        b: The same for the other arm.
        budget: The steps that every trial had.
        grid: The steps after which trials were evaluated. A hit lies after the evaluation before it. A target met
            before the first step counts as one step.
        level: Coverage of the intervals, in (0, 1).

    Raises:
        ValueError: If a seed stands twice in one arm, or steps lie beyond the budget or off the grid.
    """
    a, b = pair_by_seed(a, b)
    steps_a, steps_b = _checked(a, budget, grid), _checked(b, budget, grid)
    hit_a, hit_b = np.isfinite(steps_a), np.isfinite(steps_b)
    either = hit_a | hit_b
    shown_a, shown_b = np.minimum(steps_a, budget), np.minimum(steps_b, budget)
    kind = _kind(hit_a, hit_b, _log(shown_a) - _log(shown_b))
    logs = pd.Series((_log(shown_a) - _log(shown_b))[either], index=a.index[either], dtype=float)
    ratio = least = most = None
    if kind == Ratio.none:
        logs = logs.iloc[:0]
    else:
        earliest_a, earliest_b = _earliest(shown_a, hit_a, grid), _earliest(shown_b, hit_b, grid)
        ratio = _ratio(logs.to_numpy(), kind, level)
        least = _ratio((_log(earliest_a) - _log(shown_b))[either], kind, level)
        most = _ratio((_log(shown_a) - _log(earliest_b))[either], kind, level)
    wins, losses = int((steps_a < steps_b).sum()), int((steps_a > steps_b).sum())
    return StepsComparison(
        n=len(a),
        reached_a=int(hit_a.sum()),
        reached_b=int(hit_b.sum()),
        missed_both=int((~either).sum()),
        kind=kind,
        log_ratios=logs,
        ratio=ratio,
        ratio_least=least,
        ratio_most=most,
        p=_p(logs, kind),
        wins=wins,
        losses=losses,
        ties=len(a) - wins - losses,
        win_share=exact_proportion_interval(wins, wins + losses, level),
        p_mcnemar=mcnemar_p(int((hit_a & ~hit_b).sum()), int((hit_b & ~hit_a).sum())) if len(a) else math.nan,
        restricted=mean_interval(shown_a - shown_b, level),
    )


def _checked(steps: pd.Series[float], budget: float, grid: Sequence[int]) -> np.ndarray:
    values = steps.to_numpy(dtype=float)
    hits = values[np.isfinite(values)]
    if np.isnan(values).any() or (hits > budget).any():
        raise ValueError(f"steps to a target must be within the budget of {budget:g}, or infinite where it was missed")
    off = hits[~np.isin(hits, np.asarray(grid))]
    if len(off):
        raise ValueError(f"a hit at step {off[0]:g} is not on the evaluation grid")
    return values


def _kind(hit_a: np.ndarray, hit_b: np.ndarray, logs: np.ndarray) -> Ratio:
    """Which ratio the misses leave; `logs` have them at the budget."""
    either = hit_a | hit_b
    only_a, only_b = bool((hit_a & ~hit_b).any()), bool((hit_b & ~hit_a).any())
    if not either.any() or (~either).mean() > _MOST_CENSORED or (only_a and only_b):
        return Ratio.none
    if not only_a and not only_b:
        return Ratio.exact
    slower_is_a = logs[either].mean() > 0
    if only_b:
        return Ratio.at_least if slower_is_a else Ratio.none
    return Ratio.at_most if not slower_is_a else Ratio.none


def _earliest(steps: np.ndarray, hit: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """The first step at which each hit may have happened: one after the evaluation before. A miss keeps its budget."""
    points = np.unique(np.asarray(grid, dtype=float))
    before = np.searchsorted(points, steps) - 1
    return np.where(hit & (before >= 0), points[np.maximum(before, 0)] + 1, steps)


def _log(steps: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(steps, 1.0)))


def _ratio(logs: np.ndarray, kind: Ratio, level: float) -> Interval:
    n, mean, low, high = mean_interval(logs, level)
    found = Interval(n, math.exp(mean), *(None if bound is None else math.exp(bound) for bound in (low, high)))
    if low is None:
        return found
    if kind == Ratio.at_least:
        return found._replace(high=math.inf)
    return found._replace(low=0.0) if kind == Ratio.at_most else found


def _p(logs: pd.Series[float], kind: Ratio) -> float:
    if kind == Ratio.none:
        return math.nan
    if kind == Ratio.exact:
        return paired_t_p(logs)
    return paired_t_p(logs, alternative="greater" if kind == Ratio.at_least else "less")


def median_steps(steps: ArrayLike) -> float:
    """The median, infinite where at least half did not reach the target; NaN without a trial."""
    return quartiles(steps)[1]


def quartiles(steps: ArrayLike) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one; infinite where they lie among the misses.

    >>> quartiles([10, 20, 30, math.inf])
    (17.5, 25.0, inf)
    """
    x = np.sort(np.asarray(steps, dtype=float))
    if len(x) == 0:
        return math.nan, math.nan, math.nan
    found = []
    for share in (0.25, 0.5, 0.75):
        place = share * (len(x) - 1)
        low, high, part = x[math.floor(place)], x[math.ceil(place)], place - math.floor(place)
        found.append(float(low if part == 0 or low == high else low + part * (high - low)))
    return found[0], found[1], found[2]


def restricted_mean(steps: ArrayLike, budget: float, level: float = 0.95) -> Interval:
    """The mean of min(steps, budget) and its t interval: what a trial costs on average if it stops at the target."""
    return mean_interval(np.minimum(np.asarray(steps, dtype=float), budget), level)


def expected_running_time(steps: ArrayLike, budget: float) -> float:
    """All steps taken, misses to their budget, over the number of hits: the cost of a hit if misses are tried again.

    Infinite where no trial reached the target, NaN without a trial.

    >>> expected_running_time([10, 20, math.inf], budget=100)
    65.0
    """
    x = np.asarray(steps, dtype=float)
    hits = int(np.isfinite(x).sum())
    if len(x) == 0:
        return math.nan
    return float(np.minimum(x, budget).sum() / hits) if hits else math.inf


def reach_curve(steps: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """The share of trials that have reached the target after so many steps, with pointwise Wilson bounds.

    With one budget for all this is the Kaplan-Meier curve too.

    Returns:
        Columns `step` (each at which some trial hit, ascending), `share`, `low`, `high`.
    """
    x = np.asarray(steps, dtype=float)
    at = np.unique(x[np.isfinite(x)])
    shares = [proportion_interval(int((x <= step).sum()), len(x), level) for step in at]
    rows = [(step, share.mean, share.low, share.high) for step, share in zip(at, shares, strict=True)]
    return pd.DataFrame(rows, columns=["step", "share", "low", "high"], dtype=float)
