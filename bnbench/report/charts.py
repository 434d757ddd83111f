"""The charts of a sweep that MLflow draws: means of each level over its trials, whatever came of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from bnbench.analysis import Analysis, mean_interval
from bnbench.analysis.design import LEARNING_RATE, matching, setting_of
from bnbench.analysis.outcomes import count_outcomes, succeeded
from bnbench.analysis.subjects import subject_keys
from bnbench.record import names
from bnbench.record.mean_curves import STEP, ChartSection, MeanChart, Point, SweepCharts
from bnbench.record.planned_trial import MISSING
from bnbench.report.figures.along_axis import BATCH_SIZE
from bnbench.report.figures.panels import MOST_PANELS, mean_band
from bnbench.report.number_words import count, text

_WIDE_RANGE = 4  # the largest value of an axis over the smallest: from here on the axis is logarithmic
_FAILURES = ("collapsed", "diverged", "undefined", "failed", MISSING)
_LOSSES = {names.TRAIN_LOSS: "train loss", names.VAL_LOSS: "val loss"}
_BARE = ("data", "model", "optimizer")  # keys whose values are clear without the key
_NOTE = (
    "Means over the reporting seeds, and the ends of their 95 % t intervals (not cut at 0 and 100 %). A trial that "
    "collapsed, that is, ended no better than naming one class for every image, is averaged with the others; one that "
    "diverged has no accuracy in the end and is in no mean at any step. Titles count both."
)

_Group = tuple[dict[str, Any], pd.DataFrame]


def mean_charts(analysis: Analysis) -> SweepCharts:
    """For each subject: test accuracies, validation accuracy against step, and the losses.

    No trial is left out because of its result, except diverged ones, which have no final accuracy; titles count them.
    At most `MOST_PANELS` settings of a kind are drawn, in the report's order.
    """
    reporting = analysis.table.reporting
    sections = []
    for where, trials in analysis.split(reporting, subject_keys(analysis)):
        for section in _sections(analysis, where, trials):
            drawn = tuple(chart for chart in section.charts if chart.lines)
            sections += [replace(section, charts=drawn)] if drawn else []
    counts = {
        level: {**asdict(outcomes), "succeeded": outcomes.succeeded}
        for level, outcomes in ((level, count_outcomes(trials)) for level, trials in analysis.by_level(reporting))
    }
    missing = int((reporting["status"] == MISSING).sum())
    so_far = f" {len(reporting) - missing} of {count(len(reporting), 'trial')} are in so far." if missing else ""
    return SweepCharts(tuple(sections), counts, f"{_NOTE}{so_far}")


def _sections(analysis: Analysis, values: dict[str, Any], trials: pd.DataFrame) -> Iterator[ChartSection]:
    settings = [key for key in analysis.strata if key not in values]
    where = f"{_short(values)}: " if values else ""
    groups = list(analysis.split(trials, settings))[:MOST_PANELS]
    accuracies = (*_tuned(analysis, values, trials), *_accuracies(analysis, values, settings, trials))
    yield ChartSection(f"{where}test accuracy, %", accuracies)
    curves = (_curve(analysis, values, group, names.VAL_ACC, "val accuracy") for group in groups)
    yield ChartSection(f"{where}val accuracy, %", tuple(curves))
    losses = (_curve(analysis, values, group, key, word) for key, word in _LOSSES.items() for group in groups)
    yield ChartSection(f"{where}losses", tuple(losses), folded=True)


def _tuned(analysis: Analysis, values: Mapping[str, Any], trials: pd.DataFrame) -> Iterator[MeanChart]:
    """Bars of each level at the learning rate that its tuning seeds chose."""
    others = [key for key in analysis.conditions if key not in values]
    rates: dict[tuple[Any, ...], dict[str, float]] = {}
    for one in matching(analysis.tuned, values):
        rates.setdefault(setting_of({key: one.where[key] for key in others}), {})[one.level] = one.rate
    here = [(at, group) for at, group in analysis.split(trials, others) if setting_of(at) in rates]
    for at, group in here[:MOST_PANELS]:
        rate_of = rates[setting_of(at)]
        arms = {
            level: arm[arm[LEARNING_RATE] == rate_of[level]]
            for level, arm in analysis.by_level(group)
            if level in rate_of
        }
        bars = {level: tuple(_final(0, arm)) for level, arm in arms.items()}
        yield _chart("test accuracy at own lr", {**values, **at}, None, bars, pd.concat(arms.values()))


def _accuracies(
    analysis: Analysis, values: Mapping[str, Any], settings: Sequence[str], trials: pd.DataFrame
) -> Iterator[MeanChart]:
    """Test accuracy along the axis in each setting of the other keys; bars where no number varies."""
    axis = _axis(analysis, settings, trials)
    others = [key for key in settings if key != axis]
    for at, group in list(analysis.split(trials, others))[:MOST_PANELS]:
        here = {**values, **at}
        if axis is None:
            bars = {level: tuple(_final(0, arm)) for level, arm in analysis.by_level(group)}
            yield _chart("test accuracy", here, None, bars, group)
            continue
        word, scale = _scale(axis, trials)
        accuracy: dict[str, tuple[Point, ...]] = {}
        share: dict[str, tuple[Point, ...]] = {}
        for level, arm in analysis.by_level(group):
            rows = [(scale(value[axis]), some) for value, some in analysis.split(arm, [axis]) if pd.notna(value[axis])]
            accuracy[level] = tuple(point for x, some in rows for point in _final(x, some))
            share[level] = tuple(point for x, some in rows for point in _share(x, some))
        yield _chart("test accuracy", here, word, accuracy, group)
        if any(point.mean < 100 for points in share.values() for point in points):
            yield _chart("trials that succeeded", here, word, share, group)


def _axis(analysis: Analysis, settings: Sequence[str], trials: pd.DataFrame) -> str | None:
    """The sweep's axis if it is a number that varies in these trials; else another such key, or None."""
    for key in (analysis.table.record.asked.axis, LEARNING_RATE, BATCH_SIZE, *settings):
        if key in settings and trials[key].nunique() > 1:
            kinds = pd.api.types
            if kinds.is_numeric_dtype(trials[key]) and not kinds.is_bool_dtype(trials[key]):
                return str(key)
    return None


def _scale(axis: str, trials: pd.DataFrame) -> tuple[str, Callable[[float], float]]:
    """An axis's label, and the function from a value to its place on the axis.

    MLflow has logarithmic axes for steps only, so values that lie far apart are replaced by their logarithms.
    """
    least, most = float(trials[axis].min()), float(trials[axis].max())
    word = _word(axis)
    if least > 0 and (axis == LEARNING_RATE or most / least >= _WIDE_RANGE):
        return f"log10 {word}", lambda value: math.log10(float(value))
    return word, float


def _curve(analysis: Analysis, values: Mapping[str, Any], group: _Group, key: str, what: str) -> MeanChart:
    """Each level's means, at the steps at which all of its finished trials were evaluated."""
    at, trials = group
    lines = {}
    for level, arm in analysis.by_level(trials):
        finished = arm.loc[arm["status"] == "finished", "key"]
        curves = analysis.table.curves
        curves = curves.loc[curves["key"].isin(finished), ["key", "step", key]]
        wide = curves.pivot(index="step", columns="key", values=key).dropna(axis="columns", how="all").dropna()
        if wide.empty:
            continue
        mean, low, high = (wide.mean(axis=1),) * 3 if key in _LOSSES else mean_band(100 * wide)
        points = zip(mean.index, mean, low, high, strict=True)
        lines[level] = tuple(Point(float(x), *map(float, numbers)) for x, *numbers in points)
    return _chart(what, {**values, **at}, STEP, lines, trials, log=key in _LOSSES)


def _final(x: float, arm: pd.DataFrame) -> Iterator[Point]:
    """The mean test accuracy of the trials that finished, collapsed ones included; nothing where none did."""
    finished = arm[arm["status"] == "finished"]
    if len(finished):
        accuracies = 100 * finished[names.TEST_ACC]
        _, mean, low, high = mean_interval(accuracies)
        yield Point(x, mean, mean if low is None else low, mean if high is None else high)


def _share(x: float, arm: pd.DataFrame) -> Iterator[Point]:
    """The share, in %, of trials that succeeded, among those that can have an outcome and have one so far."""
    ended = arm[~arm["status"].isin(["undefined", MISSING])]
    if len(ended):
        yield Point(x, *(100 * float(succeeded(ended).mean()),) * 3)


def _chart(
    what: str,
    values: Mapping[str, Any],
    axis: str | None,
    lines: Mapping[str, tuple[Point, ...]],
    trials: pd.DataFrame,
    *,
    log: bool = False,
) -> MeanChart:
    """A chart whose title says what it shows, in which setting, and how many of its trials failed."""
    shown, counts = f"{_short(values)} {what}".strip(), asdict(count_outcomes(trials))
    failures = " ".join(f"{counts[how]} {how}" for how in _FAILURES if counts[how])
    key = f"{shown} - {failures}" if failures else shown
    if axis not in (None, STEP):
        axis = f"{axis} - {shown}"
    return MeanChart(key, axis, {level: points for level, points in lines.items() if points}, log)


def _short(values: Mapping[str, Any]) -> str:
    """A setting in as few words as a chart's title has room for.

    >>> _short({"model": "fc", "training.batch_size": 8, "optimizer.lr": 0.1})
    'fc batch size 8 lr 0.1'
    """
    return " ".join(text(value) if key in _BARE else f"{_word(key)} {text(value)}" for key, value in values.items())


def _word(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")
