"""Seconds per training step, from lone trials that `python -m bnbench time` timed in turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bnbench.analysis.intervals import Interval, mean_interval
from bnbench.analysis.levels import level_labels, levels, strata
from bnbench.analysis.summary import contrasts, split_by
from bnbench.record.sweep_record import TimedArm
from bnbench.record.sweep_table import SweepTable


def step_seconds(table: SweepTable) -> dict[str, np.ndarray]:
    """By key of a trial, the seconds of one of its training steps, one value a round; trials not timed are left out.

    Values of one round belong together: the arms took turns in it. Trials that differ in nothing that a step's
    arithmetic depends on, as the seed and the learning rate, share what was timed once.
    """
    return {key: np.array(arm.seconds_per_step) for arm in _timed_arms(table) for key in arm.keys}


def seconds_ratio(over: ArrayLike, under: ArrayLike, level: float = 0.95) -> Interval:
    """The geometric mean of over / under, paired by round, and its interval from the logarithms.

    >>> seconds_ratio([2.0, 4.0], [1.0, 2.0]).mean
    2.0
    """
    logs = mean_interval(np.log(np.asarray(over)) - np.log(np.asarray(under)), level)
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high))
    return Interval(logs.n, float(np.exp(logs.mean)), low, high)


def timed_arms(table: SweepTable) -> pd.DataFrame:
    """One row for each timed level within each setting: the setting's keys, `level`, `n`, `seconds`, `low`, `high`.

    `seconds` is the geometric mean over the rounds: a round that something slowed weighs less than in a plain one.
    """
    rows = []
    for values, by_level in _timed(table):
        for level, seconds in by_level.items():
            interval = seconds_ratio(seconds, np.ones_like(seconds))
            bounds = {"seconds": interval.mean, "low": interval.low, "high": interval.high}
            rows.append({**values, "level": level, "n": interval.n, **bounds})
    return pd.DataFrame(rows)


def timed_ratios(table: SweepTable) -> pd.DataFrame:
    """One row for each setting and contrast a - b: its keys, `a`, `b`, `n` rounds, `ratio` a / b, `low`, `high`."""
    rows = []
    for values, by_level in _timed(table):
        for a, b in contrasts(table):
            if a in by_level and b in by_level:
                interval = seconds_ratio(by_level[a], by_level[b])
                bounds = {"ratio": interval.mean, "low": interval.low, "high": interval.high}
                rows.append({**values, "a": a, "b": b, "n": interval.n, **bounds})
    return pd.DataFrame(rows)


def _timed(table: SweepTable) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each setting that was timed apart, with the levels timed in it."""
    known, labels = step_seconds(table), level_labels(table)
    found = []
    for values, group in split_by(table, table.reporting, _settings(table)):
        timed = group[group["key"].isin(set(known))]
        first = timed.groupby(labels.loc[timed.index], sort=False)["key"].first()
        found.append((values, {level: known[first[level]] for level in levels(table) if level in first}))
    return found


def _timed_arms(table: SweepTable) -> list[TimedArm]:
    timing = table.record.found_out.timing
    return [] if timing is None else timing.arms


def _settings(table: SweepTable) -> list[str]:
    """The strata's keys but those in which trials differ that were timed as one, as the learning rate."""
    trials = table.trials
    own = [trials[trials["key"].isin(set(arm.keys))] for arm in _timed_arms(table)]
    return [key for key in strata(table) if all(timed[key].nunique(dropna=False) < 2 for timed in own)]
