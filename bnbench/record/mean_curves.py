"""What a sweep's charts in MLflow draw: means over trials with their intervals, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STEP = "step"
"""The axis of a chart that goes over the steps of a training."""


@dataclass(frozen=True)
class Point:
    """The mean over some trials, and the ends of its 95 % interval; these are the mean where there is no interval.

    Attributes:
        x: Where it stands: a step, or a place on the chart's axis; 0 of a bar.
    """

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanChart:
    """One chart: a line, or a bar, for each compared level.

    Attributes:
        key: The title, no other chart's of the sweep.
        axis: `STEP`, or what the numbers along the axis are, no other chart's of the sweep; None for bars.
        lines: By level, its points from left to right; a level without any is left out.
        log: Whether the upright axis is logarithmic.
    """

    key: str
    axis: str | None
    lines: Mapping[str, tuple[Point, ...]]
    log: bool = False


@dataclass(frozen=True)
class ChartSection:
    """Charts under one title; folded ones are opened by a click."""

    title: str
    charts: tuple[MeanChart, ...]
    folded: bool = False


@dataclass(frozen=True)
class SweepCharts:
    """All charts of a sweep.

    Attributes:
        sections: In their order.
        counts: By level, how its reporting trials ended: how many of each outcome.
        note: What is averaged and what is not, in Markdown.
    """

    sections: tuple[ChartSection, ...]
    counts: Mapping[str, Mapping[str, int]]
    note: str
