"""What each arm measured: its failures are counted beside its accuracies, never mixed into them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.design import Design
from bnbench.analysis.intervals import Interval, mean_interval
from bnbench.analysis.outcomes import Outcomes, count_outcomes, succeeded
from bnbench.record import names


@dataclass(frozen=True)
class Reach:
    """How an arm's trials fared on the way to a target.

    Attributes:
        hits: Trials that reached the target.
        n: Trials that had the chance to reach it: they finished or diverged.
        median_steps: Median steps to the target. A trial that missed it counts as infinitely many steps, so infinity
            means that at least half did; NaN where no trial had the chance.
    """

    hits: int
    n: int
    median_steps: float


@dataclass(frozen=True, eq=False)
class Arm:
    """One level in one stratum: how its reporting trials ended and what they measured.

    Attributes:
        where: The stratum, as its params' values by key.
        level: The level's name.
        outcomes: How the arm's trials ended.
        accuracy: The mean test accuracy over trials that succeeded; its interval is cut to [0, 1].
        reaches: How the trials fared, by target; `n` is 0 for a target that this stratum was not asked for.
    """

    where: dict[str, Any]
    level: str
    outcomes: Outcomes
    accuracy: Interval
    reaches: dict[float, Reach]

    @property
    def row(self) -> dict[str, Any]:
        """The arm as a row of `arms.csv`; a value that does not exist is NaN."""
        columns = {**self.where, "level": self.level, **asdict(self.outcomes), **self.accuracy.columns("")}
        for target, reach in self.reaches.items():
            columns[names.reached(target)] = float(reach.hits) if reach.n else math.nan
            columns[f"counted/val_acc_{target:g}"] = float(reach.n)
            columns[names.steps_to(target)] = reach.median_steps
        return columns


def measure_arms(design: Design) -> list[Arm]:
    """The arm of every level in every stratum in which that level was planned."""
    return [
        Arm(where, level, count_outcomes(trials), _accuracy(trials), _reaches(design, trials, group))
        for where, group in design.split(design.table.reporting, design.strata)
        for level, trials in design.by_level(group)
    ]


def _accuracy(trials: pd.DataFrame) -> Interval:
    reported = trials[succeeded(trials)]
    return mean_interval(reported[names.TEST_ACC] if len(reported) else []).cut(0, 1)  # no accuracy lies outside


def _reaches(design: Design, trials: pd.DataFrame, stratum: pd.DataFrame) -> dict[float, Reach]:
    ended = trials[trials["status"].isin(["finished", "diverged"])]
    reaches = {}
    for target in design.targets:
        # A target applies to a whole stratum: there, a diverged trial without a value is a miss.
        n = len(ended) if stratum[names.reached(target)].notna().any() else 0
        hit = ended[names.reached(target)] == 1
        steps = np.where(hit, ended[names.steps_to(target)], np.inf)
        reaches[target] = Reach(int(hit.sum()), n, float(np.median(steps)) if n else math.nan)
    return reaches
