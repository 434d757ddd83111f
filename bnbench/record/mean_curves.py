"""The contents of a sweep's charts in MLflow: means over trials with their intervals, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STEP = "step"
"""The axis of a chart that runs over training steps."""


@dataclass(frozen=True)
class Point:
    """The mean over some trials, and its 95 % interval.

    Attributes:
        x: A step, or another place on the chart's axis; 0 for a bar.
        mean: The mean.
        low, high: The ends of the interval; both are the mean where there is no interval.
    """

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanChart:
    """One chart: a line, or a bar, for each compared level.

    Attributes:
        key: The title, unique among the sweep's charts.
        axis: `STEP`, or a label for the numbers along the axis that is unique among the sweep's charts; None for bars.
        lines: The points of each level, from left to right; a level without points is left out.
        log: Whether the vertical axis is logarithmic.
    """

    key: str
    axis: str | None
    lines: Mapping[str, tuple[Point, ...]]
    log: bool = False


@dataclass(frozen=True)
class ChartSection:
    """Charts under one title; a folded section is opened by a click."""

    title: str
    charts: tuple[MeanChart, ...]
    folded: bool = False


@dataclass(frozen=True)
class SweepCharts:
    """All charts of a sweep.

    Attributes:
        sections: The sections in the order in which they are shown.
        counts: For each level, the number of its reporting trials with each outcome.
        note: Which trials are averaged and which are not, in Markdown.
    """

    sections: tuple[ChartSection, ...]
    counts: Mapping[str, Mapping[str, int]]
    note: str
