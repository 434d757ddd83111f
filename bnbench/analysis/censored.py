"""Steps to a target that some trials never reach: described and compared without dropping or averaging the misses.

A trial's steps are the step of the evaluation that first saw the target, or infinity where none did; where two arms are
paired, they are indexed by seed. A trial that diverged before the target is a miss too: it counts with the whole budget
and is not censored at the step where it diverged, for its own failure chose that step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from bnbench.analysis.intervals import Interval, mean_interval, pair_by_seed
from bnbench.analysis.significance import mcnemar_p, paired_t_p

_MOST_CENSORED = 0.2  # largest share of pairs that both arms may miss; above it, the rest say too little of the whole


class Ratio(StrEnum):
    """What the ratio of two arms' steps, a / b, is known to be."""

    exact = "exact"  # in every pair that it counts, both trials reached the target
    at_least = "at_least"  # only a missed the target alone, and a is slower
    at_most = "at_most"  # only b missed the target alone, and b is slower
    none = "none"  # no ratio: see `compare_steps`


@dataclass(frozen=True, eq=False)
class StepsComparison:
    """How two arms' steps to a target compare, pair by pair.

    Attributes:
        n: Number of pairs.
        reached_a, reached_b: Number of pairs in which that arm reached the target.
        kind: Whether the ratio is exact, a bound or missing.
        log_ratios: Natural log of steps a / b by seed, for the pairs that the ratio rests on; a miss counts as the
            whole budget, so these are bounds where `kind` says so. Empty where there is no ratio.
        ratio: Geometric mean of steps a / b and its t interval, computed on logs; None where there is no ratio. A
            bound that misses leave open is 0 or infinity.
        p: p value of the paired t test that the log ratios have mean 0; one-sided where the ratio is a bound; NaN
            where there is no ratio.
        p_mcnemar: Exact p value of the test that both arms are equally likely to reach the target; NaN without pairs.
    """

    n: int
    reached_a: int
    reached_b: int
    kind: Ratio
    log_ratios: pd.Series[float]
    ratio: Interval | None
    p: float
    p_mcnemar: float


def compare_steps(a: pd.Series[float], b: pd.Series[float], budget: float, level: float = 0.95) -> StepsComparison:
    """Compare two arms' steps to a target over the seeds that both have.

    The pairs that both arms miss are left out. If no other trial missed the target, the ratio is exact; if only the
    slower arm has misses, it is a bound. There is none if both arms miss more than 20 % of the pairs, if each misses
    where the other does not, or if only the arm that is not slower has misses: then the numbers of pairs that reached
    the target, which are always given, stand in its place.

    Args:
        a: Steps by seed; infinity where the target was not reached within the budget. A target met before the first
            step counts as one step.
        b: Steps by seed of the other arm.
        budget: The steps that every trial had.
        level: Coverage of the interval, in (0, 1).

    Raises:
        ValueError: If a seed stands twice in one arm, or steps lie beyond the budget.
    """
    a, b = pair_by_seed(a, b)
    steps_a, steps_b = _checked(a, budget), _checked(b, budget)
    hit_a, hit_b = np.isfinite(steps_a), np.isfinite(steps_b)
    either = hit_a | hit_b
    shown_a, shown_b = np.minimum(steps_a, budget), np.minimum(steps_b, budget)
    kind = _kind(hit_a, hit_b, _log(shown_a) - _log(shown_b))
    logs = pd.Series((_log(shown_a) - _log(shown_b))[either], index=a.index[either], dtype=float)
    if kind == Ratio.none:
        logs = logs.iloc[:0]
    return StepsComparison(
        n=len(a),
        reached_a=int(hit_a.sum()),
        reached_b=int(hit_b.sum()),
        kind=kind,
        log_ratios=logs,
        ratio=None if kind == Ratio.none else _ratio(logs.to_numpy(), kind, level),
        p=_p(logs, kind),
        p_mcnemar=mcnemar_p(int((hit_a & ~hit_b).sum()), int((hit_b & ~hit_a).sum())) if len(a) else math.nan,
    )


def _checked(steps: pd.Series[float], budget: float) -> np.ndarray:
    values = steps.to_numpy(dtype=float)
    if np.isnan(values).any() or (values[np.isfinite(values)] > budget).any():
        raise ValueError(f"steps to a target must be within the budget of {budget:g}, or infinite where it was missed")
    return values


def _kind(hit_a: np.ndarray, hit_b: np.ndarray, logs: np.ndarray) -> Ratio:
    """What kind of ratio the misses leave; in `logs`, the log ratios of the pairs, a miss counts as the budget."""
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


def _log(steps: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(steps, 1.0)))


def _ratio(logs: np.ndarray, kind: Ratio, level: float) -> Interval:
    n, mean, low, high = mean_interval(logs, level)
    interval = Interval(n, math.exp(mean), *(None if bound is None else math.exp(bound) for bound in (low, high)))
    if low is None:
        return interval
    if kind == Ratio.at_least:
        return interval._replace(high=math.inf)
    return interval._replace(low=0.0) if kind == Ratio.at_most else interval


def _p(logs: pd.Series[float], kind: Ratio) -> float:
    if kind == Ratio.none:
        return math.nan
    if kind == Ratio.exact:
        return paired_t_p(logs)
    return paired_t_p(logs, alternative="greater" if kind == Ratio.at_least else "less")
