"""How many seeds had reached a target by each step: success and speed in one chart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.subjects import Subject
from bnbench.record import names
from bnbench.report.conclusion import headline_target
from bnbench.report.figures.panels import (
    Figure,
    Panel,
    PanelRow,
    colour_of,
    place_ticks,
    settings,
    width_for,
)
from bnbench.report.figures.svg import draw_chart
from bnbench.report.number_words import setting

_TITLE = "Seeds that reached a target, against step"
_CAPTION = (
    "The share of seeds, in %, that had reached the validation accuracy by each step, on a log scale up to "
    "the budget. A trial that diverged did not reach it. The target is the highest that more than half the "
    "trials of some arm reached."
)


def draw(analysis: Analysis) -> Figure:
    """One chart per setting; the charts of a subject share their target."""
    rows = []
    for subject in analysis.subjects:
        target = headline_target(subject.arms)
        if target is not None:
            heading = ", ".join(filter(None, [setting(subject.where), f"target {target:g}"]))
            rows.append(PanelRow(heading, _panels(analysis, subject, target)))
    return Figure(_TITLE, _CAPTION, tuple(row for row in rows if row.panels))


def _panels(analysis: Analysis, subject: Subject, target: float) -> tuple[Panel, ...]:
    shown = settings(analysis, subject)
    ran = pd.concat([trials for _, trials in shown])
    first = float(ran[names.steps_to(target)].fillna(ran["training.steps"]).min())
    panels = []
    for values, trials in shown:
        chart, axes = draw_chart("step", width=width_for(shown))
        budget = float(trials["training.steps"].max())
        gist = []
        for level, arm in analysis.by_level(trials[trials["status"].isin(["finished", "diverged"])]):
            hits = np.sort(arm.loc[arm[names.reached(target)] == 1, names.steps_to(target)].to_numpy(dtype=float))
            share = 100 * np.arange(len(hits) + 1) / len(arm)
            x = [first / 2, *hits, max(budget, first)]
            axes.step(x, [*share, share[-1]], where="post", color=colour_of(analysis, level), linewidth=1.6, alpha=0.9)
            gist.append(
                f"{level} {len(hits)} of {len(arm)}" + (f", the first by step {hits[0]:,.0f}" if len(hits) else "")
            )
        axes.set_xscale("log")
        axes.set_xlim(first / 2, 1.05 * max(budget, first))
        axes.set_ylim(-3, 104)
        place_ticks(axes, "x", _round_steps(first / 2, budget))
        place_ticks(axes, "y", [0, 25, 50, 75, 100])
        where = ", ".join(filter(None, [setting(subject.where), setting(values)]))
        alt = f"Trials that reached {target:g}{where and f', {where}'}: {'; '.join(gist)}."
        panels.append(Panel.of(setting(values), chart, alt))
    return tuple(panels)


def _round_steps(low: float, high: float) -> list[int]:
    """Steps of the form 1, 2 or 5 times a power of ten; only powers of ten where there would be more than six."""
    fine = [m * 10**k for k in range(9) for m in (1, 2, 5) if low <= m * 10**k <= high]
    return fine if len(fine) <= 6 else [step for step in fine if str(step).strip("0") == "1"]
