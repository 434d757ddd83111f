"""Steps to targets, read off a sweep's table: of each trial, and compared between two levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.censored import StepsComparison, compare_steps
from bnbench.analysis.design import Design
from bnbench.analysis.paired_arms import TwoArms
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

_BUDGET = "training.steps"


class StepsContrast(NamedTuple):
    """Two levels' steps to one target, compared in one stratum.

    Attributes:
        where: The stratum, as its params' values by key.
        a, b: The levels.
        target: The validation accuracy to reach.
        sustained: Whether the target had to hold from its hit to the end.
        at_edge: Whether the tuned learning rate of either level is at its grid's edge.
        comparison: How the levels' steps compare.
    """

    where: dict[str, Any]
    a: str
    b: str
    target: float
    sustained: bool
    at_edge: bool
    comparison: StepsComparison


class TargetSteps:
    """How many steps each trial of a sweep took to targets; the curves are read only once.

    Args:
        table: The sweep, which must not change any more.
    """

    def __init__(self, table: SweepTable) -> None:
        self._table = table

    def to_target(self, target: float, *, sustained: bool = False) -> pd.Series[float]:
        """Each trial's steps to a target, aligned with `table.trials`.

        Args:
            target: One of `Design.targets`.
            sustained: If True, steps to the first evaluation from which on none is below the target, not to the first
                hit. A trial that diverged sustained nothing.

        Returns:
            Infinity where the target was missed; NaN for a trial that neither finished nor diverged, or was not
            asked for this target.

        Raises:
            ValueError: If the sweep did not record this target.
        """
        trials = self._table.trials
        if names.reached(target) not in trials:
            recorded = ", ".join(f"{one:g}" for one in Design(self._table).targets) or "none"
            raise ValueError(f"target {target:g} was not recorded in this sweep; it has {recorded}")
        ended = trials["status"].isin(["finished", "diverged"])
        asked = ended & (trials[names.reached(target)].notna() | (trials["status"] == "diverged"))
        if sustained:
            hit, steps = trials["status"] == "finished", self._of_each(_sustained, target)
        else:
            hit, steps = trials[names.reached(target)] == 1, trials[names.steps_to(target)]
        return pd.Series(np.where(asked, np.where(hit, steps, np.inf), np.nan), index=trials.index)

    def to_accuracy(self, accuracy: float) -> pd.Series[float]:
        """The step of each trial's first evaluation at or above this accuracy; NaN where there is none."""
        return self._of_each(_first, accuracy).replace(np.inf, np.nan)

    def _of_each(self, find: Callable[[np.ndarray, np.ndarray, float], float], target: float) -> pd.Series[float]:
        trials, curves = self._table.trials, self._curves
        steps = [find(*curves[key], target) if key in curves else np.inf for key in trials["key"]]
        return pd.Series(steps, index=trials.index, dtype=float)

    @cached_property
    def _curves(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Each trial's evaluation steps, ascending, and the validation accuracies at them, by the trial's key."""
        curves = self._table.curves
        if names.VAL_ACC not in curves:
            return {}
        measured = curves[curves[names.VAL_ACC].notna()].sort_values("step", kind="stable")
        return {
            str(key): (curve["step"].to_numpy(), curve[names.VAL_ACC].to_numpy(dtype=float))
            for key, curve in measured.groupby("key", sort=False)
        }


def contrast_steps(
    arms: Iterable[TwoArms], steps: TargetSteps, target: float, *, sustained: bool = False
) -> list[StepsContrast]:
    """Two levels' steps to a target, compared wherever the target was asked.

    Args:
        arms: What is compared, from `paired_arms`.
        steps: The steps to targets of the sweep's trials.
        target: One of `Design.targets`.
        sustained: As in `TargetSteps.to_target`.

    Raises:
        ValueError: If the sweep has no such target.
    """
    taken, contrasts = steps.to_target(target, sustained=sustained), []
    for one in arms:
        both = pd.concat(one.trials)
        if both[names.reached(target)].isna().all():
            continue
        # Where budgets differ, the smaller is what both had.
        budget = float(both[_BUDGET].min())
        taken_a, taken_b = (within_budget(trials, taken, budget) for trials in one.trials)
        compared = compare_steps(taken_a, taken_b, budget)
        at_edge = any(rate is not None and rate.at_edge for rate in one.tuned)
        contrasts.append(StepsContrast(one.where, *one.levels, target, sustained, at_edge, compared))
    return contrasts


def within_budget(trials: pd.DataFrame, steps: pd.Series[float], budget: float) -> pd.Series[float]:
    """The steps of these trials by seed: infinity beyond the budget; trials whose steps are NaN are left out."""
    of_trials = steps.loc[trials.index]
    within = of_trials.where(~(of_trials > budget), np.inf)
    return pd.Series(within.to_numpy(), index=trials["seed"].to_numpy(), dtype=float).dropna()


def _first(steps: np.ndarray, accuracies: np.ndarray, target: float) -> float:
    return float(next(iter(steps[accuracies >= target]), np.inf))


def _sustained(steps: np.ndarray, accuracies: np.ndarray, target: float) -> float:
    below = np.flatnonzero(accuracies < target)
    start = int(below[-1]) + 1 if len(below) else 0
    return float(steps[start]) if start < len(steps) else np.inf
