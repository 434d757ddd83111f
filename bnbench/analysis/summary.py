"""Arms and their paired differences: counts of failures beside accuracies, never mixed into them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bnbench import names
from bnbench.analysis.intervals import Interval, mean_interval, paired_difference
from bnbench.analysis.table import level_labels, levels, strata, targets
from bnbench.table import MISSING, SweepTable

__all__ = ["OUTCOMES", "arms", "compare_arms", "contrasts", "counted", "differences", "matching", "split_by"]

OUTCOMES = (*names.STATUSES, MISSING)


def counted(target: float) -> str:
    """The column with the number of trials that had a chance to reach the target."""
    return f"counted/val_acc_{target:g}"


def arms(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum and level: how its reporting trials ended and what they measured.

    Columns: the strata's keys and `level`; `planned`, then a count for each of `OUTCOMES`; `n`, `mean`,
    `low`, `high` of the test accuracy over finished trials, the bounds NaN where there is no interval;
    and for each target the number of trials that reached it, that had the chance to (finished or
    diverged), and the median steps to it. A trial that did not reach a target counts as infinitely
    many steps, so a median of infinity means that at least half did not.
    """
    rows = []
    for values, group in split_by(table, table.reporting, strata(table)):
        for level, trials in _by_level(table, group):
            rows.append(
                {
                    **values,
                    "level": level,
                    **_outcomes(trials),
                    **_accuracy(trials),
                    **_steps(table, trials, group),
                }
            )
    return pd.DataFrame(rows)


def contrasts(table: SweepTable) -> list[tuple[str, str]]:
    """The pairs of levels (a, b) whose difference a - b is shown: the sweep's own, or else all pairs.

    A contrast that names a level this sweep does not have is left out; where that leaves none, all pairs
    are shown.
    """
    present = levels(table)
    asked = [tuple(part.strip() for part in contrast.split(" - ")) for contrast in table.meta["contrasts"]]
    own = [(pair[0], pair[1]) for pair in asked if len(pair) == 2 and {*pair} <= {*present}]
    return own or [(b, a) for a, b in combinations(present, 2)]


def differences(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum and contrast: the paired difference of test accuracies, a - b.

    Columns: the strata's keys, `a`, `b`, and those of `compare_arms`. A stratum in which either level was
    not planned has no row.
    """
    rows = []
    for values, group in split_by(table, table.reporting, strata(table)):
        by_level = dict(_by_level(table, group))
        for a, b in contrasts(table):
            if a in by_level and b in by_level:
                rows.append({**values, "a": a, "b": b, **compare_arms(by_level[a], by_level[b])})
    return pd.DataFrame(rows)


def compare_arms(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    """The paired difference of two arms' test accuracies, with the failures it leaves out.

    Returns:
        `n` pairs of which both trials finished, `mean`, `low`, `high` of their difference; for each arm
        `planned_`, `finished_`, `diverged_` and `undefined_` counts; `descriptive`, true if a trial of
        either arm diverged: then the success counts lead, and the difference is among survivors.
    """
    pair = paired_difference(_by_seed(a), _by_seed(b))
    counts = {
        f"{outcome}_{side}": count
        for side, arm in (("a", a), ("b", b))
        for outcome, count in _outcomes(arm).items()
        if outcome in {"planned", "finished", "diverged", "undefined"}
    }
    descriptive = counts["diverged_a"] + counts["diverged_b"] > 0
    return {"n": pair.n, "mean": pair.mean, **_bounds(pair, -1, 1), **counts, "descriptive": descriptive}


def split_by(table: SweepTable, trials: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The trials of each combination of the keys' values: numbers ascending, the rest as planned."""
    if not keys:
        if len(trials):
            yield {}, trials
        return
    rank = {key: _ranks(table.trials[key]) for key in keys}
    groups = [(dict(zip(keys, values, strict=True)), g) for values, g in trials.groupby(keys, dropna=False, sort=False)]
    yield from sorted(groups, key=lambda group: tuple(rank[key][_hashable(group[0][key])] for key in keys))


def matching(frame: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values, a missing value matching a missing one; a frame without rows as it is."""
    for key, value in values.items() if len(frame) else ():
        frame = frame[frame[key].isna() if pd.isna(value) else frame[key] == value]
    return frame


def _ranks(column: pd.Series[Any]) -> dict[Any, int]:
    values = [_hashable(value) for value in column.unique()]
    if pd.api.types.is_numeric_dtype(column):
        values.sort(key=lambda value: -math.inf if value is None else value)
    return {value: rank for rank, value in enumerate(values)}


def _hashable(value: Any) -> Any:
    return None if pd.isna(value) else value


def _by_level(table: SweepTable, trials: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    labels = level_labels(table).loc[trials.index]
    for level in levels(table):
        if (labels == level).any():
            yield level, trials[labels == level]


def _outcomes(trials: pd.DataFrame) -> dict[str, int]:
    return {
        "planned": len(trials),
        **{outcome: int((trials["status"] == outcome).sum()) for outcome in OUTCOMES},
    }


def _accuracy(trials: pd.DataFrame) -> dict[str, float]:
    finished = trials[trials["status"] == "finished"]
    interval = mean_interval(finished[names.TEST_ACC] if len(finished) else [])
    return {"n": interval.n, "mean": interval.mean, **_bounds(interval, 0, 1)}


def _steps(table: SweepTable, trials: pd.DataFrame, stratum: pd.DataFrame) -> dict[str, float]:
    ended = trials[trials["status"].isin(["finished", "diverged"])]
    columns = {}
    for target in targets(table):
        # Whether a target applies is the stratum's, not the trial's: a diverged trial without a value failed.
        n = len(ended) if stratum[names.reached(target)].notna().any() else 0
        hit = ended[names.reached(target)] == 1
        steps = np.where(hit, ended[names.steps_to(target)], np.inf)
        columns[names.reached(target)] = float(hit.sum()) if n else np.nan
        columns[counted(target)] = float(n)
        columns[names.steps_to(target)] = float(np.median(steps)) if n else np.nan
    return columns


def _by_seed(trials: pd.DataFrame) -> pd.Series[float]:
    finished = trials[trials["status"] == "finished"]
    return pd.Series(finished[names.TEST_ACC].to_numpy() if len(finished) else [], index=finished["seed"], dtype=float)


def _bounds(interval: Interval, least: float, most: float) -> dict[str, float]:
    """The bounds, NaN where there are none; cut where no accuracy can lie, which costs no coverage."""
    if interval.low is None or interval.high is None:
        return {"low": np.nan, "high": np.nan}
    return {"low": max(interval.low, least), "high": min(interval.high, most)}
