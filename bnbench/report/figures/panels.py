"""The parts of figures: charts, grouped by subject, and the settings that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.subjects import Subject
from bnbench.report.figures.palette import LEVEL_COLOURS, level_colour
from bnbench.report.figures.svg import NARROW, WIDE, image_file, render, svg_file

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.axes import Axes

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

MOST_PANELS = 12
"""How many settings of one subject a figure shows at most; the tables have the numbers of all."""


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: Such as its setting in words.
        svg: For a page; its label sums up what it shows.
        chart: What it was drawn from; None where it was drawn by hand, and is no file.
    """

    title: str
    svg: str
    chart: matplotlib.figure.Figure | None = None

    @classmethod
    def of(cls, title: str, chart: matplotlib.figure.Figure, alt: str) -> Panel:
        """The chart, drawn; `alt` says what it shows, for those who do not see it."""
        return cls(title, render(chart, alt), chart)

    def file(self, kind: str) -> bytes:
        """The chart as a file of its own.

        Args:
            kind: "svg", "png" or "pdf".

        Raises:
            ValueError: If the chart was drawn by hand.
        """
        if self.chart is None:
            raise ValueError(f"the chart {self.title} was drawn by hand, and is part of a page only")
        return svg_file(self.svg).encode() if kind == "svg" else image_file(self.chart, kind)


@dataclass(frozen=True)
class PanelRow:
    """The charts of one subject."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Figure:
    """Charts of one kind."""

    title: str
    caption: str
    rows: tuple[PanelRow, ...]


def level_index(analysis: Analysis) -> dict[str, int]:
    """The index of each level's colour on the page: grey is for "none" alone, the others repeat if they run out."""
    others = [level for level in analysis.levels if level != "none"]
    return {"none": 0, **{level: 1 + i % (LEVEL_COLOURS - 1) for i, level in enumerate(others)}}


def colour_of(analysis: Analysis, level: str) -> str:
    """A level's colour in a chart."""
    return level_colour(level_index(analysis)[level])


def settings(analysis: Analysis, subject: Subject) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The subject's reporting trials by setting: up to `MOST_PANELS` settings in which one finished or diverged."""
    reported = subject.trials[~subject.trials["tuning"].astype(bool)]
    groups = analysis.split(reported, subject.settings)
    ran = [(values, trials) for values, trials in groups if trials["status"].isin(["finished", "diverged"]).any()]
    return ran[:MOST_PANELS]


def best_settings(analysis: Analysis, subject: Subject, room: int) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """At most `room` settings; those at a learning rate that was tuned for the first level come first."""
    placed = settings(analysis, subject)
    if subject.tuned:
        rates = {one.rate for one in subject.tuned if one.level == analysis.levels[0]}
        placed.sort(key=lambda one: one[0].get(LEARNING_RATE) not in rates)
    return placed[:room]


def width_for(shown: Sequence[Any]) -> float:
    """The width of a chart, given all charts that stand side by side."""
    return NARROW if len(shown) > 3 else WIDE


def mean_band(wide: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float], pd.Series[float]]:
    """The mean of each row, and the ends of its 95 % t interval; with one column the ends are the mean.

    Args:
        wide: One row per step and one column per seed, without missing values.
    """
    from scipy.stats import t

    n, mean = wide.shape[1], wide.mean(axis=1)
    half = t.ppf(0.975, n - 1) * wide.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else 0.0 * mean
    return mean, mean - half, mean + half


def place_ticks(axes: Axes, which: str, at: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """Ticks at these values and nowhere else."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(list(at), labels or [f"{value:,g}" for value in at])
    axis.set_ticks([], minor=True)


def place_powers(axes: Axes, lowest: float, highest: float) -> None:
    """A logarithmic vertical axis with ticks at powers of ten, about six of them."""
    axes.set_yscale("log")
    first, most = (int(np.floor(np.log10(end))) for end in (lowest, highest))
    powers = range(first, most + 2, 1 + (most - first) // 6)
    place_ticks(axes, "y", [10.0**k for k in powers], [f"10{str(k).translate(_RAISED)}" for k in powers])
