"""Steps to targets as a sweep's table holds them: each trial's hit, and levels compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.censored import StepsComparison, compare_steps
from bnbench.analysis.contrast import Rates, paired_arms
from bnbench.analysis.levels import levels, targets
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

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
    steps, found = steps_to_target(table, target, sustained=sustained), []
    for where, _, _, chosen, arm_a, arm_b in paired_arms(table, rates, [(a, b)]):
        both = pd.concat([arm_a, arm_b])
        if both[names.reached(target)].isna().all():
            continue
        # Where budgets differ, the smaller is what both had.
        budget = float(both[_BUDGET].min())
        compared = compare_steps(_by_seed(arm_a, steps, budget), _by_seed(arm_b, steps, budget), budget)
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


def _refuse_unknown(table: SweepTable, target: float) -> None:
    if names.reached(target) not in table.trials:
        recorded = ", ".join(f"{one:g}" for one in targets(table)) or "none"
        raise ValueError(f"target {target:g} was not recorded in this sweep; it has {recorded}")
