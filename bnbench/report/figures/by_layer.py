"""How large the gradient is at every layer, before the first step and after the last."""

from __future__ import annotations

from collections.abc import Iterator

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
)
from bnbench.report.figures.svg import WIDE, draw_chart
from bnbench.report.number_words import setting

_CAPTION = (
    "Norms of the loss's gradient by the weights of each layer, from the first to the head: geometric means over the "
    "seeds that finished, with their 95 % t interval. A layer whose gradient is 0 in a trial is left out."
)
_MOST_TICKS = 8


def draw(analysis: Analysis) -> Figure:
    """For each setting one chart per step, with one line per level; no rows where gradients were not measured."""
    keys = [str(key) for key in analysis.table.curves.columns if names.is_layer_gradient(str(key))]
    rows = [row for subject in analysis.subjects for row in _rows(analysis, subject, keys)] if len(keys) > 1 else []
    return Figure("Gradients against layer", _CAPTION, tuple(row for row in rows if row.panels))


def _rows(analysis: Analysis, subject: Subject, keys: list[str]) -> Iterator[PanelRow]:
    for values, trials in best_settings(analysis, subject, MOST_PANELS // 2):
        finished = trials[trials["status"] == "finished"]
        points = analysis.table.curves.loc[analysis.table.curves["key"].isin(finished["key"]), ["key", "step", *keys]]
        points = points.dropna(subset=keys, how="all")
        where = ", ".join(filter(None, [setting(subject.where), setting(values)]))
        steps = sorted({*points["step"].agg(["min", "max"])}) if len(points) else []
        yield PanelRow(
            where, tuple(_panel(analysis, finished, points[points["step"] == step], keys, where) for step in steps)
        )


def _panel(analysis: Analysis, finished: pd.DataFrame, points: pd.DataFrame, keys: list[str], where: str) -> Panel:
    """A chart of the gradient's norm by layer at one step, with one line per level."""
    step = int(points["step"].iloc[0])
    when = "before the first step" if step == 0 else f"after step {step:,}"
    chart, axes = draw_chart("layer", width=WIDE)
    gist, ends = [], []
    for level, arm in analysis.by_level(finished):
        sizes = points[points["key"].isin(arm["key"])].set_index("key")[keys].T
        logs = sizes.where(sizes > 0).apply(np.log10).dropna()
        if logs.empty or not logs.shape[1]:
            continue
        layers = [1 + keys.index(key) for key in logs.index]
        mean, low, high = (10**line for line in mean_band(logs))
        axes.plot(layers, mean, color=colour_of(analysis, level), linewidth=1.6, marker=".", markersize=4)
        axes.fill_between(layers, low, high, color=colour_of(analysis, level), alpha=0.2, linewidth=0)
        ends += [low.min(), high.max()]
        gist.append(f"{level} {mean.iloc[0]:.3g} at layer {layers[0]}, {mean.iloc[-1]:.3g} at layer {layers[-1]}")
    if ends:
        place_powers(axes, min(ends), max(ends))
    place_ticks(axes, "x", range(1, len(keys) + 1, 1 + (len(keys) - 1) // _MOST_TICKS))
    title = f"gradient norm by layer, {when}"
    return Panel.of(title, chart, f"{title}{where and f', {where}'}: {'; '.join(gist)}.")
