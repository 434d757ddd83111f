"""Arms: counts of failures beside accuracies, never mixed into them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.intervals import Interval, mean_interval
from bnbench.analysis.levels import level_labels, levels, strata, targets
from bnbench.analysis.outcomes import count_outcomes, succeeded
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

ALL_PAIRS_OF = 4  # levels at most: six pairs


def counted(target: float) -> str:
    """The column with the number of trials that had a chance to reach the target."""
    return f"counted/val_acc_{target:g}"


def arms(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum and level: how its reporting trials ended and what they measured.

    Columns: the strata's keys and `level`; `planned`, a count for each of `OUTCOMES`, and how many of the
    finished `collapsed`; `n`, `mean`, `low`, `high` of the test accuracy over trials that succeeded, the
    bounds NaN where there is no interval; and for each target the number of trials that reached it, that had
    the chance to (finished or diverged), and the median steps to it. A trial that did not reach a target
    counts as infinitely many steps, so a median of infinity means that at least half did not.
    """
    rows = []
    for values, group in split_by(table, table.reporting, strata(table)):
        for level, trials in _by_level(table, group):
            rows.append(
                {
                    **values,
                    "level": level,
                    **count_outcomes(trials),
                    **_accuracy(trials),
                    **_steps(table, trials, group),
                }
            )
    return pd.DataFrame(rows)


def contrasts(table: SweepTable) -> list[tuple[str, str]]:
    """The pairs of levels (a, b) whose difference a - b is shown: the sweep's own, or else all pairs.

    A contrast that names a level this sweep does not have is left out. Where that leaves none, all pairs are shown
    of at most `ALL_PAIRS_OF` levels, and of more each level's with the first: nine have 36 pairs, which nobody reads.
    """
    present = levels(table)
    asked = [tuple(part.strip() for part in contrast.split(" - ")) for contrast in table.record.asked.contrasts]
    own = [(pair[0], pair[1]) for pair in asked if len(pair) == 2 and {*pair} <= {*present}]
    pairs = combinations(present, 2) if len(present) <= ALL_PAIRS_OF else product(present[:1], present[1:])
    return own or [(b, a) for a, b in pairs]


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


def _accuracy(trials: pd.DataFrame) -> dict[str, float]:
    kept = trials[succeeded(trials)]
    interval = mean_interval(kept[names.TEST_ACC] if len(kept) else [])
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


def _bounds(interval: Interval, least: float, most: float) -> dict[str, float]:
    """The bounds, NaN where there are none; cut where no accuracy can lie, which costs no coverage."""
    if interval.low is None or interval.high is None:
        return {"low": np.nan, "high": np.nan}
    return {"low": max(interval.low, least), "high": min(interval.high, most)}
