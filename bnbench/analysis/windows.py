"""How wide the range of learning rates is at which a level trains, in decades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.intervals import Interval, paired_difference
from bnbench.analysis.levels import level_labels, levels, strata
from bnbench.analysis.outcomes import succeeded
from bnbench.analysis.summary import contrasts, split_by
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.record.sweep_table import SweepTable

MOST_FAILURES = 0.2
"""A level trains at a learning rate at which no larger share of its seeds failed."""


class _Grid(NamedTuple):
    """One level in one stratum: which of its reporting trials trained, by seed and learning rate (ascending)."""

    where: dict[str, Any]
    level: str
    trained: pd.DataFrame

    @property
    def rates(self) -> np.ndarray:
        return self.trained.columns.to_numpy(dtype=float)

    @property
    def decades(self) -> np.ndarray:
        """What each learning rate stands for: half the way to either neighbour, and as much beyond the ends."""
        return np.asarray(np.gradient(np.log10(self.rates)))


def learning_rate_windows(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and level: the learning rates at which it trains.

    A trial trains if it succeeded.

    Returns:
        The strata's keys, `level`; `smallest` and `largest` learning rate at which at least 80 % of the seeds trained,
        NaN if there is none; `decades`, what all of those stand for; `holes`, how many between them do not train;
        `at_low_edge`, `at_high_edge`: the window ends where the grid does, and may reach further; `seeds`. Empty
        without two learning rates; a level without a seed whose trials have all ended has no row.
    """
    rows = []
    for grid in _grids(table):
        trains = grid.trained.mean().to_numpy() >= 1 - MOST_FAILURES - 1e-9
        at = np.flatnonzero(trains)
        some = len(at) > 0
        rows.append(
            {
                **grid.where,
                "level": grid.level,
                "smallest": grid.rates[at[0]] if some else np.nan,
                "largest": grid.rates[at[-1]] if some else np.nan,
                "decades": float(grid.decades[at].sum()),
                "holes": int(at[-1] - at[0] + 1 - len(at)) if some else 0,
                "at_low_edge": bool(trains[0]),
                "at_high_edge": bool(trains[-1]),
                "seeds": len(grid.trained),
            }
        )
    return pd.DataFrame(rows)


def window_differences(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and contrast: how much wider a's window is, seed by seed.

    A seed's window is all learning rates at which it trained. Where a window ends with the grid it may reach further:
    the difference is then too small by what a is cut off, and too large by what b is.

    Returns:
        The strata's keys, `a`, `b`; `n` pairs, `mean`, `low`, `high` of the difference of the windows' widths, in
        decades; `largest_n`, `largest_mean`, `largest_low`, `largest_high` of the difference of the largest learning
        rates that trained, in decades, over seeds of which both arms have one; `cut_a`, `cut_b`, how many seeds
        trained at either end of the grid. Empty without two learning rates.
    """
    grids = {(tuple(grid.where.items()), grid.level): grid for grid in _grids(table)}
    rows = []
    for where in dict.fromkeys(where for where, _ in grids):
        for a, b in contrasts(table):
            if (where, a) not in grids or (where, b) not in grids:
                continue
            grid_a, grid_b = grids[where, a], grids[where, b]
            width = paired_difference(_width(grid_a), _width(grid_b))
            largest = paired_difference(_largest(grid_a), _largest(grid_b))
            rows.append(
                {
                    **dict(where),
                    "a": a,
                    "b": b,
                    **_columns(width, ""),
                    **_columns(largest, "largest_"),
                    "cut_a": _cut(grid_a),
                    "cut_b": _cut(grid_b),
                }
            )
    return pd.DataFrame(rows)


def _grids(table: SweepTable) -> Iterator[_Grid]:
    keys = strata(table)
    if LEARNING_RATE not in keys:
        return
    trials = table.reporting
    trained = succeeded(trials).astype(float).where(trials["status"].isin(["finished", "diverged"]))
    labels = level_labels(table)
    for where, group in split_by(table, trials, [key for key in keys if key != LEARNING_RATE]):
        for level in levels(table):
            own = group[labels.loc[group.index] == level]
            if own[LEARNING_RATE].nunique() > 1:
                by_seed = own.assign(trained=trained.loc[own.index]).pivot(
                    index="seed", columns=LEARNING_RATE, values="trained"
                )
                # A seed with a trial missing has no window; a learning rate of the plan stays in the grid.
                if len(by_seed.dropna()):
                    yield _Grid(where, level, by_seed.dropna())


def _width(grid: _Grid) -> pd.Series[float]:
    return pd.Series(grid.trained.to_numpy() @ grid.decades, index=grid.trained.index, dtype=float)


def _largest(grid: _Grid) -> pd.Series[float]:
    """Log10 of the largest learning rate at which each seed trained, of those that did at any."""
    trained = grid.trained[grid.trained.any(axis=1)]
    largest = [grid.rates[row > 0].max() for row in trained.to_numpy()]
    return pd.Series(np.log10(largest) if largest else [], index=trained.index, dtype=float)


def _cut(grid: _Grid) -> int:
    return int(grid.trained.iloc[:, [0, -1]].any(axis=1).sum())


def _columns(interval: Interval, prefix: str) -> dict[str, float]:
    low, high = (np.nan if bound is None else bound for bound in (interval.low, interval.high))
    return {
        f"{prefix}n": interval.n,
        f"{prefix}mean": interval.mean,
        f"{prefix}low": low,
        f"{prefix}high": high,
    }
