"""Figures of what `training.measures` measured during training (gradients, activations, weights), against step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.subjects import Subject
from bnbench.record import names
from bnbench.report.figures.panels import (
    MOST_PANELS,
    Figure,
    Panel,
    PanelRow,
    best_settings,
    colour_of,
    mean_band,
    place_powers,
    place_ticks,
    width_for,
)
from bnbench.report.figures.svg import draw_chart
from bnbench.report.number_words import setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {"gradient": "Gradients", "activation": "Inputs of hidden units", "weights": "Weights"}
_PERCENTILES = tuple(names.ACTIVATION_PERCENTILES.values())
_CAPTION = (
    "Means over the seeds that finished, with their 95 % t interval; steps on a log scale from 0. Where a value "
    "spans more than a factor of {wide}, it is averaged and drawn on a log scale too."
)
_WIDE = 30


def draw(analysis: Analysis) -> list[Figure]:
    """A figure for each kind of measure; none where nothing was measured, or at one step only, which is no curve."""
    columns = [str(key) for key in analysis.table.curves.columns]
    measured = [key for key in columns if names.is_curve(key) and key not in names.CURVES]
    measured = [key for key in measured if not names.is_layer_gradient(key)]  # drawn against the layer
    kinds = dict.fromkeys(key.partition("/")[0] for key in measured)
    figures = [_draw_kind(analysis, kind, [key for key in measured if key.startswith(f"{kind}/")]) for kind in kinds]
    return [figure for figure in figures if figure.rows]


def _draw_kind(analysis: Analysis, kind: str, keys: list[str]) -> Figure:
    together = [key for key in _PERCENTILES if key in keys]
    charts = [[key] for key in keys if key not in together] + ([together] if together else [])
    rows = [row for subject in analysis.subjects for row in _rows(analysis, subject, charts)]
    title = f"{_TITLES.get(kind, kind.capitalize())} while training"
    return Figure(title, _CAPTION.format(wide=_WIDE), tuple(row for row in rows if row.panels))


def _rows(analysis: Analysis, subject: Subject, charts: list[list[str]]) -> Iterator[PanelRow]:
    """One row per setting, with one chart per measure."""
    for values, trials in best_settings(analysis, subject, max(1, MOST_PANELS // len(charts))):
        finished = trials[trials["status"] == "finished"]
        where = ", ".join(filter(None, [setting(subject.where), setting(values)]))
        panels = []
        for keys in charts:
            points = analysis.table.curves.loc[
                analysis.table.curves["key"].isin(finished["key"]), ["key", "step", *keys]
            ].dropna()
            if points["step"].nunique() > 1:
                chart, axes = draw_chart("step", width=width_for(charts))
                gist = _draw_levels(analysis, axes, finished, points, keys)
                alt = f"{_meaning(keys)}{where and f', {where}'}. At the last step: {gist}."
                panels.append(Panel.of(_meaning(keys), chart, alt))
        yield PanelRow(where, tuple(panels))


def _draw_levels(analysis: Analysis, axes: Axes, finished: pd.DataFrame, points: pd.DataFrame, keys: list[str]) -> str:
    """Draws every level; returns its mean at the last step in words."""
    values = points[keys].to_numpy()
    log = bool(values.min() > 0 and values.max() > _WIDE * values.min())
    gist = []
    for level, arm in analysis.by_level(finished):
        curves = points[points["key"].isin(arm["key"])]
        for key in keys:
            wide = curves.pivot(index="step", columns="key", values=key).dropna()
            if wide.empty:
                continue
            lines = mean_band(wide.apply(np.log10) if log else wide)
            mean, low, high = (10**line for line in lines) if log else lines
            middle = len(keys) == 1 or key == names.ACTIVATION_PERCENTILES[50]
            colour = colour_of(analysis, level)
            axes.plot(mean.index, mean, color=colour, linewidth=1.6 if middle else 0.8)
            if middle:
                axes.fill_between(mean.index, low, high, color=colour, alpha=0.2, linewidth=0)
                gist.append(f"{level} {mean.iloc[-1]:.3g}")
    if log:
        place_powers(axes, values.min(), values.max())
    elif values.min() == values.max():  # begin at zero, or the scale would show rounding
        least, most = sorted((0.0, 2 * float(values.max())))
        axes.set_ylim(least, most if most > least else 1.0)
    axes.set_xscale("symlog", linthresh=1)
    last = float(points["step"].max())
    axes.set_xlim(0, last)
    place_ticks(axes, "x", [0, *(10**k for k in range(1 + int(np.log10(max(1.0, last)))))])
    return "; ".join(gist)


def _meaning(keys: list[str]) -> str:
    if len(keys) > 1:
        return "percentiles 15, 50 and 85 of the input of the last hidden layer's first unit"
    metric = names.metric(keys[0])
    return f"{metric.meaning} ({metric.unit})"
