"""Test accuracy, and the paired differences, against the param that the sweep names as its axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bnbench.analysis import SweepTable, contrasts
from bnbench.analysis.summary import matching, split_by
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.record.sweep_table import MISSING
from bnbench.report.figures.panels import MOST_PANELS, Figure, Panel, PanelRow, colour_of, place_ticks
from bnbench.report.figures.svg import INK, MUTED, NARROW, draw_chart, render
from bnbench.report.number_words import difference, key_title, percent, setting, text
from bnbench.report.subjects import Subject, subjects

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BATCH_SIZE = "training.batch_size"

_LEAST_SPAN = 0.5  # percentage points either side of no difference

_FIRST = "The mean test accuracy of each level, in %, over the seeds that succeeded"
_THEN = "; then the paired differences, in percentage points, each on its own scale"
_BARS = (
    ". Bars are 95 % t intervals. A hollow mark leaves out trials that failed or have no result; a cross is where "
    "nothing is left."
)


def draw(table: SweepTable) -> list[Figure]:
    """A figure for the sweep's axis, with the differences, and one for each other axis of interest that varies."""
    own = table.record.asked.axis
    others = [key for key in (LEARNING_RATE, BATCH_SIZE) if key != own]
    return [_draw_axis(table, axis, differences=axis == own) for axis in (own, *others) if axis is not None]


def _draw_axis(table: SweepTable, axis: str, *, differences: bool) -> Figure:
    """For each subject the accuracies, then one chart a contrast; no rows where the axis does not vary."""
    rows = [
        PanelRow(subject.title, _panels(table, subject, axis, differences=differences))
        for subject in subjects(table)
        if axis in subject.settings and len(subject.arms) and subject.arms[axis].nunique() > 1
    ]
    what = "Test accuracy and paired differences" if differences else "Test accuracy"
    caption = (_FIRST + _THEN if differences else _FIRST) + _BARS
    return Figure(f"{what} against {key_title(axis)}", caption, tuple(rows))


def _panels(table: SweepTable, subject: Subject, axis: str, *, differences: bool) -> tuple[Panel, ...]:
    others = [key for key in subject.settings if key != axis]
    panels: list[Panel] = []
    for values, _ in list(split_by(table, subject.trials, others))[:MOST_PANELS]:
        arms, compared = (matching(frame, values) for frame in (subject.arms, subject.differences))
        at = [value for at_value, _ in split_by(table, arms, [axis]) for value in at_value.values()]
        charts = [("test accuracy, %", _draw_arms(table, arms, axis, at))] if len(arms) else []
        for a, b in contrasts(table) if differences and len(compared) else ():
            rows = compared[(compared["a"] == a) & (compared["b"] == b)]
            if len(rows):
                charts.append((f"{a} - {b}, pp", _draw_difference(rows, axis, at)))
        for heading, (chart, gist) in charts:
            title = ", ".join(filter(None, [setting(values), heading]))
            alt = f"{', '.join(filter(None, [subject.title, title]))}, against {key_title(axis)}: {gist}."
            panels.append(Panel(title, render(chart, alt)))
    return tuple(panels)


def _draw_arms(table: SweepTable, arms: pd.DataFrame, axis: str, at: list[Any]) -> tuple[Any, str]:
    chart, axes = draw_chart(key_title(axis), width=NARROW)
    gist = []
    groups = list(arms.groupby("level", sort=False))
    for i, (level, rows) in enumerate(groups):
        # Levels stand side by side, so that their intervals can be told apart.
        aside = 0.12 * (i - (len(groups) - 1) / 2)
        _draw_series(
            axes,
            rows,
            axis,
            at,
            colour_of(table, str(level)),
            rows["finished"] < rows["planned"] - rows[MISSING],
            aside,
        )
        gist.append(f"{level} {_in_words(rows, axis, percent)}")
    return chart, "; ".join(gist)


def _draw_difference(rows: pd.DataFrame, axis: str, at: list[Any]) -> tuple[Any, str]:
    chart, axes = draw_chart(key_title(axis), width=NARROW)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    _draw_series(axes, rows, axis, at, INK, rows["n"] < _pairs_trained(rows))
    # A scale finer than any data set's can show would make much of no difference at all.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -_LEAST_SPAN), max(high, _LEAST_SPAN))
    if rows["mean"].isna().all():
        place_ticks(axes, "y", [0])
    return chart, _in_words(rows, axis, difference)


def _pairs_trained(rows: pd.DataFrame) -> pd.Series[int]:
    """How many pairs there could be at most, of the trials that are not still to be trained."""
    trained = pd.DataFrame({side: rows[f"planned_{side}"] - rows[f"{MISSING}_{side}"] for side in "ab"})
    return trained.min(axis=1)


def _draw_series(
    axes: Axes,
    rows: pd.DataFrame,
    axis: str,
    at: list[Any],
    colour: str,
    partial: pd.Series[bool],
    aside: float = 0,
) -> None:
    # The values tried are spread evenly, whatever their distances.
    x = np.array([at.index(value) for value in rows[axis]]) + aside
    mean, low, high = (100 * rows[column].to_numpy(dtype=float) for column in ("mean", "low", "high"))
    known = ~np.isnan(mean)
    axes.plot(x[known], mean[known], color=colour, linewidth=0.8, alpha=0.5)
    axes.vlines(x, low, high, color=colour, linewidth=1.6)
    for here, y, hollow in zip(x[known], mean[known], partial[known], strict=True):
        axes.plot(here, y, "o", color=colour, markersize=5, fillstyle="none" if hollow else "full")
    for here in x[~known]:
        axes.plot(
            here,
            0.04,
            "x",
            color=colour,
            markersize=6,
            markeredgewidth=1.6,
            transform=axes.get_xaxis_transform(),
        )
    place_ticks(axes, "x", range(len(at)), [text(value) for value in at])
    axes.set_xlim(-0.5, len(at) - 0.5)


def _in_words(rows: pd.DataFrame, axis: str, one: Callable[[float], str]) -> str:
    return ", ".join(
        f"{one(mean) or 'nothing'} at {text(value)}" for mean, value in zip(rows["mean"], rows[axis], strict=True)
    )
