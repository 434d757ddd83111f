"""Validation accuracy against step: the mean of each level with its interval, and every seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bnbench.analysis import Analysis
from bnbench.analysis.subjects import Subject
from bnbench.record import names
from bnbench.report.figures.panels import (
    Figure,
    Panel,
    PanelRow,
    colour_of,
    mean_band,
    place_ticks,
    settings,
    width_for,
)
from bnbench.report.figures.svg import draw_chart
from bnbench.report.number_words import listing, percent, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Validation accuracy against step"
_CAPTION = (
    "Thick lines are means over the seeds that finished, in a band of their 95 % t interval; thin lines are "
    "single seeds, and a cross is where one diverged. Accuracy in %, spaced by the logarithm of the error, "
    "so that the last few points are seen; steps on a log scale from 1."
)
_ACCURACY_TICKS = (10, 30, 50, 70, 80, 90, 95, 98, 99, 99.5)
_ROOM = 0.1  # the share of the axis that a label needs


def draw(analysis: Analysis) -> Figure:
    """One chart per setting; the charts of a subject share their scale."""
    rows = [PanelRow(setting(subject.where), _panels(analysis, subject)) for subject in analysis.subjects]
    return Figure(_TITLE, _CAPTION, tuple(row for row in rows if row.panels))


def _panels(analysis: Analysis, subject: Subject) -> tuple[Panel, ...]:
    shown = settings(analysis, subject)
    keys = {key for _, trials in shown for key in trials["key"]}
    measured = analysis.table.curves["key"].isin(keys) & (analysis.table.curves["step"] > 0)
    curves = analysis.table.curves.loc[measured, ["key", "step", names.VAL_ACC]].dropna()
    if curves.empty:
        return ()
    accuracy = curves[names.VAL_ACC]
    floor = max(0.0, float(accuracy.min()) - 0.02)
    # A perfect score would lie infinitely high: it is drawn just above the best that is not perfect.
    ceiling = 1 - 0.7 * (1 - float(accuracy[accuracy < 1].max())) if (accuracy < 1).any() else 0.999
    panels = []
    for values, trials in shown:
        chart, axes = draw_chart("step", width=width_for(shown))
        last = [
            _draw_level(axes, arm, curves, ceiling, colour_of(analysis, level))
            for level, arm in analysis.by_level(trials)
        ]
        gist = listing([f"{level} {mean}" for (level, _), mean in zip(analysis.by_level(trials), last, strict=True)])
        axes.set_xscale("log")
        axes.set_yscale("function", functions=(_stretch, _shrink))
        axes.set_ylim(floor, ceiling)
        ticks = _apart([tick for tick in _ACCURACY_TICKS if floor < tick / 100 < ceiling], floor, ceiling)
        place_ticks(axes, "y", [tick / 100 for tick in ticks], [f"{tick:g}" for tick in ticks])
        place_ticks(axes, "x", [10**k for k in range(1 + int(np.log10(curves["step"].max())))])
        where = ", ".join(filter(None, [_TITLE, setting(subject.where), setting(values)]))
        alt = f"{where}. Mean at the last step: {gist}."
        panels.append(Panel.of(setting(values), chart, alt))
    return tuple(panels)


def _draw_level(axes: Axes, arm: pd.DataFrame, curves: pd.DataFrame, ceiling: float, colour: str) -> str:
    """Draws one level's seeds, mean and band; returns the mean at the last step in words."""
    wide = curves[curves["key"].isin(arm["key"])].pivot(index="step", columns="key", values=names.VAL_ACC)
    status = dict(zip(arm["key"], arm["status"], strict=True))
    for key in wide:
        line = wide[key].dropna()
        axes.plot(line.index, np.minimum(line.to_numpy(), ceiling), color=colour, linewidth=0.5, alpha=0.4)
        if status[key] == "diverged":
            axes.plot(
                line.index[-1:],
                np.minimum(line.iloc[-1:], ceiling),
                "x",
                color=colour,
                markersize=6,
                markeredgewidth=1.6,
                zorder=5,
            )
    # Diverged seeds are not in the mean at any step, or it would rise where they end.
    finished = wide[[key for key in wide if status[key] == "finished"]].dropna()
    if finished.empty:
        return "no finished trial"
    mean, low, high = mean_band(finished)
    axes.plot(mean.index, mean.clip(upper=ceiling), color=colour, linewidth=1.7)
    if finished.shape[1] > 1:
        axes.fill_between(mean.index, low.clip(0, ceiling), high.clip(0, ceiling), color=colour, alpha=0.2, linewidth=0)
    return f"{percent(mean.iloc[-1])} %"


def _apart(ticks: list[float], floor: float, ceiling: float) -> list[float]:
    """The ticks that have room for their labels, chosen from the top down."""
    low, high = _stretch(np.array([floor, ceiling]))
    apart: list[float] = []
    last = np.inf
    for tick in reversed(ticks):
        place = _stretch(np.array([tick / 100]))[0]
        if last - place >= _ROOM * (high - low):
            apart, last = [tick, *apart], place
    return apart


def _stretch(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log10(np.maximum(1 - accuracy, 1e-9))


def _shrink(stretched: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.subtract(1, 10.0**-stretched)
