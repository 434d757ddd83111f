"""How wide the range of learning rates is at which a level trains, in decades."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.design import LEARNING_RATE, Design, setting_of
from bnbench.analysis.intervals import Interval, paired_difference
from bnbench.analysis.outcomes import succeeded

MOST_FAILURES = 0.2
"""The largest share of its seeds that may fail at a learning rate at which a level is said to train."""


@dataclass(frozen=True, eq=False)
class Window:
    """The learning rates at which a level trains, in one stratum (without the learning rate).

    Attributes:
        where: The stratum.
        level: The level's name.
        smallest, largest: The smallest and largest learning rate at which at least 80 % of the seeds succeeded; NaN if
            there is none.
        decades: Total width of the learning rates at which the level trains; see `_Grid.decades`.
        holes: How many learning rates between smallest and largest do not train.
        at_low_edge, at_high_edge: Whether the window ends where the grid does, and so may reach further.
        seeds: Number of seeds whose trials have all ended.
    """

    where: dict[str, Any]
    level: str
    smallest: float
    largest: float
    decades: float
    holes: int
    at_low_edge: bool
    at_high_edge: bool
    seeds: int


@dataclass(frozen=True, eq=False)
class WindowDifference:
    """How much wider a's window is than b's, seed by seed, in one stratum (without the learning rate).

    A seed's window is all learning rates at which it trained. Where a window ends with the grid it may reach further:
    the difference is then too small by what a is cut off, and too large by what b is.

    Attributes:
        where: The stratum.
        a, b: The levels.
        width: The difference of the windows' widths, in decades.
        largest: The difference of the largest learning rates that trained, in decades, over seeds that trained at some
            learning rate in both arms.
    """

    where: dict[str, Any]
    a: str
    b: str
    width: Interval
    largest: Interval


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
        """The decades of each learning rate: half the gap to either neighbour; an end's only gap counts twice."""
        return np.asarray(np.gradient(np.log10(self.rates)))

    @property
    def widths(self) -> pd.Series[float]:
        return pd.Series(self.trained.to_numpy() @ self.decades, index=self.trained.index, dtype=float)

    @property
    def largest(self) -> pd.Series[float]:
        """Log10 of the largest learning rate at which each seed trained; seeds that trained at none are left out."""
        trained = self.trained[self.trained.any(axis=1)]
        largest = [self.rates[row > 0].max() for row in trained.to_numpy()]
        return pd.Series(np.log10(largest) if largest else [], index=trained.index, dtype=float)


def find_windows(design: Design) -> tuple[list[Window], list[WindowDifference]]:
    """The windows of all levels, and how they differ; empty lists unless at least two learning rates were tried.

    A trial trains if it succeeded. A level without a seed whose trials have all ended has no window.
    """
    grids = list(_grids(design))
    at = {(setting_of(grid.where), grid.level): grid for grid in grids}
    both = [
        (at[where, a], at[where, b])
        for where in dict.fromkeys(where for where, _ in at)
        for a, b in design.pairs
        if (where, a) in at and (where, b) in at
    ]
    return [_window(grid) for grid in grids], [_difference(a, b) for a, b in both]


def _window(grid: _Grid) -> Window:
    trains = grid.trained.mean().to_numpy() >= 1 - MOST_FAILURES - 1e-9
    at = np.flatnonzero(trains)
    some = len(at) > 0
    return Window(
        where=grid.where,
        level=grid.level,
        smallest=grid.rates[at[0]] if some else math.nan,
        largest=grid.rates[at[-1]] if some else math.nan,
        decades=float(grid.decades[at].sum()),
        holes=int(at[-1] - at[0] + 1 - len(at)) if some else 0,
        at_low_edge=bool(trains[0]),
        at_high_edge=bool(trains[-1]),
        seeds=len(grid.trained),
    )


def _difference(a: _Grid, b: _Grid) -> WindowDifference:
    width, largest = paired_difference(a.widths, b.widths), paired_difference(a.largest, b.largest)
    return WindowDifference(a.where, a.level, b.level, width, largest)


def _grids(design: Design) -> Iterator[_Grid]:
    if LEARNING_RATE not in design.strata:
        return
    trials = design.table.reporting
    trained = succeeded(trials).astype(float).where(trials["status"].isin(["finished", "diverged"]))
    for where, group in design.split(trials, design.conditions):
        for level, of_level in design.by_level(group):
            if of_level[LEARNING_RATE].nunique() > 1:
                by_seed = of_level.assign(trained=trained.loc[of_level.index]).pivot(
                    index="seed", columns=LEARNING_RATE, values="trained"
                )
                # A seed with a trial that has not ended is dropped whole, so that each planned learning rate stays.
                if len(by_seed.dropna()):
                    yield _Grid(where, level, by_seed.dropna())
