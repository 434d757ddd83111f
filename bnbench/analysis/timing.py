"""Seconds per training step, from lone trials that `python -m bnbench time` timed in turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bnbench.analysis.design import Design
from bnbench.analysis.intervals import Interval, mean_interval
from bnbench.record.sweep_record import TimedArm
from bnbench.record.sweep_table import SweepTable


@dataclass(frozen=True, eq=False)
class TimedLevel:
    """The seconds of one training step of a level within a setting, as the geometric mean over the rounds.

    A round that was slowed down weighs less in it than in an arithmetic mean.
    """

    where: dict[str, Any]
    level: str
    seconds: Interval


@dataclass(frozen=True, eq=False)
class TimedRatio:
    """How many times as long a step of a takes as one of b, within a setting."""

    where: dict[str, Any]
    a: str
    b: str
    ratio: Interval


def step_seconds(table: SweepTable) -> dict[str, np.ndarray]:
    """The seconds of one training step by a trial's key, one value per round; trials not timed are left out.

    The values of one round are paired: the arms took turns in it. Trials that differ only in what a step's arithmetic
    does not depend on, such as the seed and the learning rate, share the values of one that was timed.
    """
    return {key: np.array(arm.seconds_per_step) for arm in _recorded_arms(table) for key in arm.keys}


def seconds_ratio(over: ArrayLike, under: ArrayLike, level: float = 0.95) -> Interval:
    """The geometric mean of over / under, paired by round, and its t interval, computed on logs.

    >>> seconds_ratio([2.0, 4.0], [1.0, 2.0]).mean
    2.0
    """
    logs = mean_interval(np.log(np.asarray(over)) - np.log(np.asarray(under)), level)
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high))
    return Interval(logs.n, float(np.exp(logs.mean)), low, high)


def timed_levels(design: Design) -> list[TimedLevel]:
    """The seconds per step of each timed level within each setting."""
    return [
        TimedLevel(where, level, seconds_ratio(seconds, np.ones_like(seconds)))
        for where, by_level in _timed(design)
        for level, seconds in by_level.items()
    ]


def timed_ratios(design: Design) -> list[TimedRatio]:
    """The ratio of seconds for each pair within each setting in which both levels were timed."""
    return [
        TimedRatio(where, a, b, seconds_ratio(by_level[a], by_level[b]))
        for where, by_level in _timed(design)
        for a, b in design.pairs
        if a in by_level and b in by_level
    ]


def _timed(design: Design) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each setting, with the seconds per step of the levels timed in it, one value per round."""
    seconds = step_seconds(design.table)
    timed_settings = []
    for where, group in design.split(design.table.reporting, _settings(design)):
        timed = group[group["key"].isin(set(seconds))]
        timed_settings.append((where, {level: seconds[arm["key"].iloc[0]] for level, arm in design.by_level(timed)}))
    return timed_settings


def _recorded_arms(table: SweepTable) -> list[TimedArm]:
    timing = table.record.found_out.timing
    return [] if timing is None else timing.arms


def _settings(design: Design) -> list[str]:
    """The keys of the strata, without those (such as the learning rate) that differ among trials timed as one."""
    trials = design.table.trials
    timed_trials = [trials[trials["key"].isin(set(arm.keys))] for arm in _recorded_arms(design.table)]
    return [key for key in design.strata if all(timed[key].nunique(dropna=False) < 2 for timed in timed_trials)]
