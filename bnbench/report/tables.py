"""The report's tables of arms and of their paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bnbench.analysis import Analysis, Arm, Contrast, Interval
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.outcomes import Outcomes
from bnbench.analysis.subjects import Subject
from bnbench.analysis.verdict import judge_contrast
from bnbench.report.contrast_words import remark
from bnbench.report.number_words import difference, key_title, p_value, percent, span, steps, text
from bnbench.report.table import Cell, Column, Effect, Table, make_rows

_ONLY_IN_FULL = ("p", "sign-flip p", "detectable, pp")
_FOREST_ROWS = 60  # differences shown at most: more are not taken in at a glance


def arm_table(analysis: Analysis, parts: Sequence[Subject]) -> Table | None:
    """One row per arm of these subjects: accuracy, how trials ended, steps to each target; None without arms."""
    arms = [arm for subject in parts for arm in subject.arms]
    reached = [target for target in analysis.targets if any(arm.reaches[target].n for arm in arms)]
    keys = _keys([subject for subject in parts if subject.arms])
    columns = (
        *setting_columns(analysis, keys),
        Column(level_title(analysis)),
        Column("accuracy, %", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("finished"),
        *(Column(f"steps to {target:g}", numeric=True, optional=True) for target in reached),
    )
    cells = [
        (
            *setting_cells(arm.where, keys),
            Cell(arm.level),
            Cell(percent(arm.accuracy.mean), 100 * arm.accuracy.mean),
            _interval(arm.accuracy, signed=False),
            outcome_cell(arm.outcomes),
            *(steps_cell(arm, target) for target in reached),
        )
        for arm in arms
    ]
    title = "Test accuracy" + ("; median steps to a target (trials that reached it)" if reached else "")
    rows = make_rows(cells, len(keys), levels=[arm.level for arm in arms])
    return Table(title, columns, rows) if arms else None


def subject_tables(analysis: Analysis, subject: Subject) -> list[Table]:
    """Tables of the arms, their paired differences, and those at tuned learning rates; empty ones are left out."""
    parts = [subject]
    made = (arm_table(analysis, parts), _matched_table(analysis, parts), _tuned_table(analysis, parts))
    return [one for one in made if one is not None]


def forest(analysis: Analysis) -> Table | None:
    """The differences that answer the sweep's question, at tuned learning rates if there are any; None without any."""
    table = _tuned_table(analysis, analysis.subjects) or _matched_table(analysis, analysis.subjects)
    if table is None:
        return None
    table = table.without(_ONLY_IN_FULL)
    if len(table.rows) <= _FOREST_ROWS:
        return table
    title = f"{table.title} (the first {_FOREST_ROWS} of {len(table.rows)}; all are under All numbers)"
    return Table(title, table.columns, table.rows[:_FOREST_ROWS])


def level_title(analysis: Analysis) -> str:
    """The title of the column of levels: "norm" where norms are compared, else "level"."""
    return "norm" if analysis.table.record.asked.compare[:1] == ["norm"] else "level"


def setting_columns(analysis: Analysis, keys: Sequence[str]) -> list[Column]:
    """The heads of the columns that say to which setting a row belongs."""
    trials = analysis.table.trials
    return [Column(key_title(key), numeric=pd.api.types.is_numeric_dtype(trials[key])) for key in keys]


def setting_cells(where: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Cell]:
    """The cells that say to which setting a row belongs."""
    for key in keys:
        number = isinstance(where[key], int | float) and not isinstance(where[key], bool)
        yield Cell(text(where[key]), float(where[key]) if number else None)


def estimate_cell(accuracy: Interval) -> Cell:
    """An arm's mean accuracy and its interval in one cell: mean ± half, or both ends where they are not symmetric."""
    if accuracy.n == 0:
        return Cell("")
    mean, low, high = percent(accuracy.mean), accuracy.low, accuracy.high
    if low is None or high is None:
        return Cell(f"{mean} ({_interval(accuracy, signed=False).text})", 100 * accuracy.mean)
    below, above = percent(accuracy.mean - low), percent(high - accuracy.mean)
    shown = f"{mean} ± {below}" if below == above else f"{mean} ({span(low, high)})"
    return Cell(shown, 100 * accuracy.mean, (100 * low, 100 * high))


def outcome_cell(outcomes: Outcomes) -> Cell:
    """How many of an arm's trials finished, and how the others ended."""
    finished = f"{outcomes.finished} of {outcomes.trained}"
    if outcomes.collapsed:
        finished += f" ({'all' if outcomes.collapsed == outcomes.finished else outcomes.collapsed} collapsed)"
    others = {
        "diverged": outcomes.diverged,
        "undefined": outcomes.undefined,
        "failed": outcomes.failed,
        "to be trained": outcomes.missing,
    }
    return Cell(", ".join([finished, *(f"{n} {how}" for how, n in others.items() if n)]), outcomes.finished)


def steps_cell(arm: Arm, target: float) -> Cell:
    """The median steps to a target, and how many trials reached it."""
    reach = arm.reaches[target]
    return Cell(f"{steps(reach.median_steps)} ({reach.hits}/{reach.n})", reach.median_steps) if reach.n else Cell("")


def _keys(parts: Sequence[Subject]) -> list[str]:
    return [*parts[0].where, *parts[0].settings] if len(parts) > 1 else [*parts[0].settings] if parts else []


def _matched_table(analysis: Analysis, parts: Sequence[Subject]) -> Table | None:
    parts = [subject for subject in parts if subject.differences]
    keys = _keys(parts)
    at = " at equal learning rates" if LEARNING_RATE in keys else ""
    columns = {column: make for column, make in _DIFFERENCE.items() if column != _RATES}
    contrasts = [contrast for subject in parts for contrast in subject.differences]
    return _difference_table(analysis, f"Paired differences of test accuracy{at}", keys, columns, contrasts)


def _tuned_table(analysis: Analysis, parts: Sequence[Subject]) -> Table | None:
    parts = [subject for subject in parts if subject.tuned_differences]
    keys = [key for key in _keys(parts) if key != LEARNING_RATE]
    title = "Paired differences, each level at its own tuned learning rate"
    contrasts = [contrast for subject in parts for contrast in subject.tuned_differences]
    return _difference_table(analysis, title, keys, _DIFFERENCE, contrasts)


def _difference_table(
    analysis: Analysis,
    title: str,
    keys: Sequence[str],
    columns: Mapping[Column, Callable[[Contrast], Cell]],
    contrasts: Sequence[Contrast],
) -> Table | None:
    cells = [
        (*setting_cells(contrast.where, keys), *(make(contrast) for make in columns.values())) for contrast in contrasts
    ]
    rows = make_rows(cells, len(keys), effects=[_effect(contrast) for contrast in contrasts])
    return Table(title, (*setting_columns(analysis, keys), *columns), rows) if contrasts else None


def _rates_cell(contrast: Contrast) -> Cell:
    return Cell(", ".join(f"{side.level} {text(side.tuned.rate)}" for side in contrast.sides if side.tuned))


def _adjusted_p_cell(contrast: Contrast) -> Cell:
    judged = contrast.primary or contrast.n < 2
    return Cell(p_value(contrast.adjusted_p) if judged else "exploratory", contrast.adjusted_p)


def _effect(contrast: Contrast) -> Effect | None:
    if contrast.n == 0:
        return None
    bounds = [*contrast.interval[2:], *contrast.family_interval[2:]]
    low, high, wide_low, wide_high = (math.nan if bound is None else 100 * bound for bound in bounds)
    return Effect(100 * contrast.interval.mean, low, high, wide_low, wide_high, judge_contrast(contrast).firm)


def _interval(interval: Interval, *, signed: bool) -> Cell:
    if interval.low is None or interval.high is None:
        return Cell({0: "", 1: "one seed"}.get(interval.n, "all equal"))
    ends = (100 * interval.low, 100 * interval.high)
    return Cell(span(interval.low, interval.high, signed=signed), ends[0], ends)


_RATES = Column("learning rates")  # only for differences at tuned learning rates

_DIFFERENCE: dict[Column, Callable[[Contrast], Cell]] = {
    Column("difference", drawn=True): lambda one: Cell(f"{one.a} - {one.b}"),
    Column("pp", numeric=True): lambda one: Cell(difference(one.interval.mean), 100 * one.interval.mean),
    Column("95 % interval", numeric=True, bounds=True): lambda one: _interval(one.interval, signed=True),
    Column("pairs", numeric=True): lambda one: Cell(str(one.n), one.n),
    Column("adjusted p", numeric=True, optional=True): _adjusted_p_cell,
    Column("p", numeric=True, optional=True): lambda one: Cell(p_value(one.p), one.p),
    Column("sign-flip p", numeric=True, optional=True): lambda one: Cell(p_value(one.sign_flip_p), one.sign_flip_p),
    Column("detectable, pp", numeric=True, optional=True): lambda one: Cell(
        percent(one.detectable), 100 * one.detectable
    ),
    _RATES: _rates_cell,
    Column("reading"): lambda one: Cell(remark(one)),
}
