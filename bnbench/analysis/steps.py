"""Steps to targets as a sweep's table holds them: each trial's hit, what became of it, and levels compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench import names
from bnbench.analysis.censored import (
    StepsComparison,
    compare_steps,
    expected_running_time,
    quartiles,
    restricted_mean,
)
from bnbench.analysis.contrast import Rates, paired_arms
from bnbench.analysis.intervals import Interval, proportion_interval
from bnbench.analysis.outcomes import collapsed
from bnbench.analysis.summary import contrasts, split_by
from bnbench.analysis.table import level_labels, levels, strata, targets
from bnbench.table import SweepTable

__all__ = [
    "StepsContrast",
    "contrast_steps",
    "reach_summary",
    "step_ratios",
    "steps_to_accuracy",
    "steps_to_target",
    "target_outcomes",
]

_BUDGET = "training.steps"


class StepsContrast(NamedTuple):
    """Two levels' steps to one target, compared in one stratum.

    Attributes:
        where: The stratum.
        a, b: The levels.
        target: The validation accuracy.
        sustained: Whether the target had to hold from there to the end.
        chosen: As in `Contrast`.
        comparison: What was found.
    """

    where: dict[str, Any]
    a: str
    b: str
    target: float
    sustained: bool
    chosen: dict[str, Any]
    comparison: StepsComparison


def steps_to_target(table: SweepTable, target: float, *, sustained: bool = False) -> pd.Series[float]:
    """Each trial's steps to a target, aligned with `table.trials`.

    Args:
        table: The sweep.
        target: One of `targets`.
        sustained: The first evaluation from which on none is below the target, instead of the first hit. A trial that
            diverged sustained nothing.

    Returns:
        Infinity where the target was missed; NaN for a trial that neither finished nor diverged, or was never asked.

    Raises:
        ValueError: If the sweep did not record this target.
    """
    _refuse_unknown(table, target)
    trials = table.trials
    ended = trials["status"].isin(["finished", "diverged"])
    asked = ended & (trials[names.reached(target)].notna() | (trials["status"] == "diverged"))
    if sustained:
        curves = _curves(table)
        found = [
            _sustained(*curves[key], target) if status == "finished" and key in curves else np.inf
            for key, status in zip(trials["key"], trials["status"], strict=True)
        ]
        steps = np.array(found, dtype=float)
    else:
        steps = np.where(trials[names.reached(target)] == 1, trials[names.steps_to(target)], np.inf)
    return pd.Series(np.where(asked, steps, np.nan), index=trials.index)


def steps_to_accuracy(table: SweepTable, accuracy: float) -> pd.Series[float]:
    """Each trial's first evaluation on its curve at or above any validation accuracy; NaN where there is none."""
    curves = _curves(table)
    first = [
        next(iter(curves[key][0][curves[key][1] >= accuracy]), np.nan) if key in curves else np.nan
        for key in table.trials["key"]
    ]
    return pd.Series(first, index=table.trials.index, dtype=float)


def target_outcomes(table: SweepTable, target: float) -> pd.Series[str]:
    """What became of each trial's way to a target, aligned with `table.trials`.

    "reached": hit, and not lost by the end. "reached, then lost": hit, and below it at the last evaluation, or diverged
    later. Of those that never hit it: "diverged"; "constant predictor", if it collapsed; "budget exhausted". Empty for
    a trial that was not asked.
    """
    words = []
    hits = zip(steps_to_target(table, target), steps_to_target(table, target, sustained=True), strict=True)
    fates = zip(table.trials["status"] == "diverged", collapsed(table.trials), strict=True)
    for (first, kept), (diverged, constant) in zip(hits, fates, strict=True):
        if np.isnan(first):
            words.append("")
        elif np.isfinite(first):
            words.append("reached" if np.isfinite(kept) else "reached, then lost")
        elif diverged:
            words.append("diverged")
        else:
            words.append("constant predictor" if constant else "budget exhausted")
    return pd.Series(words, index=table.trials.index, dtype="str")


def reach_summary(table: SweepTable, *, sustained: bool = False) -> pd.DataFrame:
    """One row for each stratum, level and target: how many of its reporting trials reached it, and after how long.

    Returns:
        The strata's keys, `level`, `target`; `n` trials that finished or diverged; `share` that reached it, with its
        Wilson bounds `share_low`, `share_high`; `lower_quartile`, `median`, `upper_quartile` of the steps, infinite
        among the misses; `restricted`, the mean of min(steps, budget), with `restricted_low`, `restricted_high`;
        `expected`, all steps over the number of hits. A target that a stratum's model was not asked has no row.
    """
    labels, rows = level_labels(table), []
    for target in targets(table):
        steps = steps_to_target(table, target, sustained=sustained)
        for where, group in split_by(table, table.reporting, strata(table)):
            if group[names.reached(target)].isna().all():
                continue
            for level in levels(table):
                trials = group[labels.loc[group.index] == level]
                own, budget = steps.loc[trials.index].dropna().to_numpy(), float(trials[_BUDGET].max())
                hits = proportion_interval(int(np.isfinite(own).sum()), len(own))
                lower, median, upper = quartiles(own)
                rows.append(
                    {
                        **where,
                        "level": level,
                        "target": target,
                        "n": len(own),
                        **_columns(hits, "share", "share_low", "share_high"),
                        "lower_quartile": lower,
                        "median": median,
                        "upper_quartile": upper,
                        **_columns(restricted_mean(own, budget), "restricted", "restricted_low", "restricted_high"),
                        "expected": expected_running_time(own, budget),
                    }
                )
    return pd.DataFrame(rows)


def contrast_steps(
    table: SweepTable,
    a: str,
    b: str,
    target: float,
    *,
    sustained: bool = False,
    rates: Rates = "matched",
) -> list[StepsContrast]:
    """Two levels' steps to a target, compared in each stratum in which the target was asked.

    Args:
        table: The sweep.
        a: A level, as `levels` names it.
        b: Another.
        target: One of `targets`.
        sustained: As in `steps_to_target`.
        rates: At equal learning rates, or each level at its own, which is empty without tuning seeds.

    Raises:
        ValueError: If the sweep has no such level or target.
    """
    present = levels(table)
    for level in (level for level in (a, b) if level not in present):
        raise ValueError(f"level {level!r} is not in this sweep; it compares {', '.join(present)}")
    return _compare(table, [(a, b)], target, sustained, rates)


def step_ratios(table: SweepTable, *, sustained: bool = False, rates: Rates = "matched") -> pd.DataFrame:
    """One row for each stratum, contrast of the sweep and target: steps a / b, or what censoring leaves of it.

    Returns:
        The strata's keys, `a`, `b`, the chosen learning rates, `target`; then of `StepsComparison`: `n`, `reached_a`,
        `reached_b`, `missed_both`, `kind`, `ratio`, `low`, `high`, `ratio_least`, `ratio_most` and the outermost
        bounds `least_low`, `most_high`, `p`, `wins`, `losses`, `ties`, `win_share`, `win_low`, `win_high`,
        `p_mcnemar`, `restricted`, `restricted_low`, `restricted_high`. What does not exist is NaN. A target that a
        stratum's model was not asked has no row.
    """
    rows = []
    for target in targets(table):
        for found in _compare(table, contrasts(table), target, sustained, rates):
            chosen = {**found.where, "a": found.a, "b": found.b, **found.chosen, "target": target}
            rows.append({**chosen, **_row(found.comparison)})
    return pd.DataFrame(rows)


def _compare(
    table: SweepTable, pairs: Sequence[tuple[str, str]], target: float, sustained: bool, rates: Rates
) -> list[StepsContrast]:
    steps, curves, asked = steps_to_target(table, target, sustained=sustained), _curves(table), names.reached(target)
    found = []
    for where, a, b, chosen, arm_a, arm_b in paired_arms(table, rates, pairs):
        both = pd.concat([arm_a, arm_b])
        if both[asked].isna().all():
            continue
        # Where budgets differ, the smaller is what both had.
        budget = float(both[_BUDGET].min())
        grid = sorted({int(step) for key in both["key"] if key in curves for step in curves[key][0]})
        compared = compare_steps(_by_seed(arm_a, steps, budget), _by_seed(arm_b, steps, budget), budget, grid)
        found.append(StepsContrast(where, a, b, target, sustained, chosen, compared))
    return found


def _by_seed(arm: pd.DataFrame, steps: pd.Series[float], budget: float) -> pd.Series[float]:
    own = steps.loc[arm.index]
    within = own.where(~(own > budget), np.inf)
    return pd.Series(within.to_numpy(), index=arm["seed"].to_numpy(), dtype=float).dropna()


@lru_cache(maxsize=4)
def _curves(table: SweepTable) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Each trial's evaluation steps, ascending, and validation accuracies there."""
    if names.VAL_ACC not in table.curves:
        return {}
    measured = table.curves[table.curves[names.VAL_ACC].notna()].sort_values("step", kind="stable")
    return {
        str(key): (curve["step"].to_numpy(), curve[names.VAL_ACC].to_numpy(dtype=float))
        for key, curve in measured.groupby("key", sort=False)
    }


def _sustained(steps: np.ndarray, accuracies: np.ndarray, target: float) -> float:
    below = np.flatnonzero(accuracies < target)
    start = int(below[-1]) + 1 if len(below) else 0
    return float(steps[start]) if start < len(steps) else np.inf


def _row(found: StepsComparison) -> dict[str, Any]:
    return {
        "n": found.n,
        "reached_a": found.reached_a,
        "reached_b": found.reached_b,
        "missed_both": found.missed_both,
        "kind": str(found.kind),
        **_columns(found.ratio, "ratio", "low", "high"),
        **_columns(found.ratio_least, "ratio_least", "least_low", None),
        **_columns(found.ratio_most, "ratio_most", None, "most_high"),
        "p": found.p,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        **_columns(found.win_share, "win_share", "win_low", "win_high"),
        "p_mcnemar": found.p_mcnemar,
        **_columns(found.restricted, "restricted", "restricted_low", "restricted_high"),
    }


def _columns(interval: Interval | None, mean: str, low: str | None, high: str | None) -> dict[str, float]:
    values = (np.nan, None, None) if interval is None else interval[1:]
    named = zip((mean, low, high), values, strict=True)
    return {name: np.nan if value is None else value for name, value in named if name is not None}


def _refuse_unknown(table: SweepTable, target: float) -> None:
    if names.reached(target) not in table.trials:
        recorded = ", ".join(f"{one:g}" for one in targets(table)) or "none"
        raise ValueError(f"target {target:g} was not recorded in this sweep; it has {recorded}")
