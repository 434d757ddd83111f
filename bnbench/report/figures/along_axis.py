"""Test accuracy, and the paired differences, against the param that the sweep names as its axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bnbench.analysis import Analysis, Arm, Contrast, Interval
from bnbench.analysis.design import LEARNING_RATE, matching
from bnbench.analysis.subjects import Subject
from bnbench.report.figures.panels import MOST_PANELS, Figure, Panel, PanelRow, colour_of, place_ticks
from bnbench.report.figures.svg import INK, MUTED, NARROW, draw_chart
from bnbench.report.number_words import difference, key_title, percent, setting, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BATCH_SIZE = "training.batch_size"

_LEAST_SPAN = 0.5  # percentage points that are shown at least on either side of no difference

_FIRST = "The mean test accuracy of each level, in %, over the seeds that succeeded"
_THEN = "; then the paired differences, in percentage points, each on its own scale"
_BARS = (
    ". Bars are 95 % t intervals. A hollow mark leaves out trials that failed or have no result; a cross is where "
    "nothing is left."
)


def draw(analysis: Analysis) -> list[Figure]:
    """A figure for the sweep's axis, with the differences, and one for each other axis of interest that varies."""
    axis_of_sweep = analysis.table.record.asked.axis
    others = [key for key in (LEARNING_RATE, BATCH_SIZE) if key != axis_of_sweep]
    return [
        _draw_axis(analysis, axis, differences=axis == axis_of_sweep)
        for axis in (axis_of_sweep, *others)
        if axis is not None
    ]


def _draw_axis(analysis: Analysis, axis: str, *, differences: bool) -> Figure:
    """For each subject a chart of accuracies, then one per contrast; no rows where the axis does not vary."""
    rows = [
        PanelRow(setting(subject.where), _panels(analysis, subject, axis, differences=differences))
        for subject in analysis.subjects
        if axis in subject.settings and len(_values(analysis, axis, subject.arms)) > 1
    ]
    what = "Test accuracy and paired differences" if differences else "Test accuracy"
    caption = (_FIRST + _THEN if differences else _FIRST) + _BARS
    return Figure(f"{what} against {key_title(axis)}", caption, tuple(rows))


def _values(analysis: Analysis, axis: str, arms: Sequence[Arm]) -> list[Any]:
    """The axis's values among these arms, in the order of `Design.rank`."""
    return sorted({arm.where[axis] for arm in arms}, key=lambda value: analysis.rank(axis, value))


def _panels(analysis: Analysis, subject: Subject, axis: str, *, differences: bool) -> tuple[Panel, ...]:
    others = [key for key in subject.settings if key != axis]
    panels: list[Panel] = []
    for where, _ in list(analysis.split(subject.trials, others))[:MOST_PANELS]:
        arms = matching(subject.arms, where)
        at = _values(analysis, axis, arms)
        charts = [("test accuracy, %", _draw_arms(analysis, arms, axis, at))] if arms else []
        for a, b in analysis.pairs if differences else ():
            contrasts = [one for one in matching(subject.differences, where) if (one.a, one.b) == (a, b)]
            if contrasts:
                charts.append((f"{a} - {b}, pp", _draw_differences(contrasts, axis, at)))
        for heading, (chart, gist) in charts:
            title = ", ".join(filter(None, [setting(where), heading]))
            alt = f"{', '.join(filter(None, [setting(subject.where), title]))}, against {key_title(axis)}: {gist}."
            panels.append(Panel.of(title, chart, alt))
    return tuple(panels)


def _draw_arms(analysis: Analysis, arms: Sequence[Arm], axis: str, at: list[Any]) -> tuple[Any, str]:
    chart, axes = draw_chart(key_title(axis), width=NARROW)
    gist = []
    groups = {level: [arm for arm in arms if arm.level == level] for level in dict.fromkeys(arm.level for arm in arms)}
    for i, (level, own) in enumerate(groups.items()):
        # Levels are drawn side by side, so that their intervals can be told apart.
        aside = 0.12 * (i - (len(groups) - 1) / 2)
        marks = [
            _Mark(arm.where[axis], arm.accuracy, hollow=arm.outcomes.finished < arm.outcomes.trained) for arm in own
        ]
        _draw_series(axes, marks, at, colour_of(analysis, level), aside)
        gist.append(f"{level} {_in_words(marks, percent)}")
    return chart, "; ".join(gist)


def _draw_differences(contrasts: Sequence[Contrast], axis: str, at: list[Any]) -> tuple[Any, str]:
    chart, axes = draw_chart(key_title(axis), width=NARROW)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    marks = [
        _Mark(one.where[axis], one.interval, hollow=one.n < min(side.outcomes.trained for side in one.sides))
        for one in contrasts
    ]
    _draw_series(axes, marks, at, INK)
    # Without a least span, the scale would magnify differences that mean nothing.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -_LEAST_SPAN), max(high, _LEAST_SPAN))
    if not any(mark.estimate.n for mark in marks):
        place_ticks(axes, "y", [0])
    return chart, _in_words(marks, difference)


class _Mark(NamedTuple):
    """An estimate at a value of the axis; hollow where trials are left out of it."""

    value: Any
    estimate: Interval
    hollow: bool


def _draw_series(axes: Axes, marks: Sequence[_Mark], at: list[Any], colour: str, aside: float = 0) -> None:
    # The values tried are spaced evenly, however far apart they are.
    x = np.array([at.index(mark.value) for mark in marks]) + aside
    mean, low, high = 100 * np.array([mark.estimate[1:] for mark in marks], dtype=float).T  # None becomes NaN
    measured = ~np.isnan(mean)
    axes.plot(x[measured], mean[measured], color=colour, linewidth=0.8, alpha=0.5)
    axes.vlines(x, low, high, color=colour, linewidth=1.6)
    hollow_marks = np.array([mark.hollow for mark in marks])
    for here, y, hollow in zip(x[measured], mean[measured], hollow_marks[measured], strict=True):
        axes.plot(here, y, "o", color=colour, markersize=5, fillstyle="none" if hollow else "full")
    for here in x[~measured]:
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


def _in_words(marks: Sequence[_Mark], one: Callable[[float], str]) -> str:
    return ", ".join(f"{one(mark.estimate.mean) or 'nothing'} at {text(mark.value)}" for mark in marks)
