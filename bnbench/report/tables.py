"""The report's tables of arms and of their paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable, targets
from bnbench.analysis.outcomes import OUTCOMES
from bnbench.analysis.summary import counted
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.record import names
from bnbench.record.sweep_table import MISSING
from bnbench.report.number_words import difference, key_title, p_value, percent, span, steps, text
from bnbench.report.subjects import Subject, subjects
from bnbench.report.table import Cell, Column, Effect, Table, make_rows
from bnbench.report.verdict import Verdict, doubts, remark, verdict

_FAMILY = ("family_low", "family_high")
_ONLY_IN_FULL = ("p", "sign-flip p", "detectable, pp")
_FOREST_ROWS = 60  # more differences than this are not taken in at a glance


def arm_table(table: SweepTable, parts: Sequence[Subject]) -> Table | None:
    """Every arm of these subjects: accuracy, how its trials ended, steps to each target; None without arms."""
    parts = [subject for subject in parts if len(subject.arms)]
    own = [t for t in targets(table) if any(subject.arms[counted(t)].max() > 0 for subject in parts)]
    keys = _keys(parts)
    columns = [
        *setting_columns(table, keys),
        Column(level_title(table)),
        Column("accuracy, %", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("finished"),
        *(Column(f"steps to {target:g}", numeric=True, optional=True) for target in own),
    ]
    rows = [row for subject in parts for _, row in subject.arms.iterrows()]
    cells = [
        (
            *setting_cells(row, keys),
            Cell(row["level"]),
            Cell(percent(row["mean"]), 100 * row["mean"]),
            _interval(row, signed=False),
            outcome_cell(row),
            *(steps_cell(row, target) for target in own),
        )
        for row in rows
    ]
    title = "Test accuracy" + ("; median steps to a target (trials that reached it)" if own else "")
    made = make_rows(cells, len(keys), levels=[row["level"] for row in rows])
    return Table(title, tuple(columns), made) if rows else None


def subject_tables(table: SweepTable, subject: Subject) -> list[Table]:
    """The arms, their paired differences, and those at tuned learning rates; an empty table is left out."""
    made = (arm_table(table, [subject]), _matched_table(table, [subject]), _tuned_table(table, [subject]))
    return [one for one in made if one is not None]


def forest(table: SweepTable) -> Table | None:
    """The differences that answer the sweep's question: at tuned learning rates where they were tuned."""
    parts = subjects(table)
    made = _tuned_table(table, parts) or _matched_table(table, parts)
    if made is None:
        return None
    made = made.without(_ONLY_IN_FULL)
    if len(made.rows) <= _FOREST_ROWS:
        return made
    title = f"{made.title} (the first {_FOREST_ROWS} of {len(made.rows)}; all are under All numbers)"
    return Table(title, made.columns, made.rows[:_FOREST_ROWS])


def level_title(table: SweepTable) -> str:
    """What the compared levels are levels of."""
    return "norm" if table.record.asked.compare[:1] == ["norm"] else "level"


def setting_columns(table: SweepTable, keys: Sequence[str]) -> list[Column]:
    """The heads of the columns that say where a row holds."""
    return [Column(key_title(key), numeric=pd.api.types.is_numeric_dtype(table.trials[key])) for key in keys]


def setting_cells(row: Mapping[str, Any] | pd.Series[Any], keys: Sequence[str]) -> Iterator[Cell]:
    """The values that say where a row holds."""
    for key in keys:
        number = isinstance(row[key], int | float) and not isinstance(row[key], bool)
        yield Cell(text(row[key]), float(row[key]) if number else None)


def estimate_cell(row: pd.Series[Any]) -> Cell:
    """An arm's mean accuracy and its interval in one cell: mean ± half, or both ends where they are not symmetric."""
    if row["n"] == 0:
        return Cell("")
    mean = percent(row["mean"])
    if pd.isna(row["low"]):
        return Cell(f"{mean} ({_interval(row, signed=False).text})", 100 * row["mean"])
    below, above = (percent(row["mean"] - row["low"]), percent(row["high"] - row["mean"]))
    shown = f"{mean} ± {below}" if below == above else f"{mean} ({span(row['low'], row['high'])})"
    return Cell(shown, 100 * row["mean"], (100 * row["low"], 100 * row["high"]))


def outcome_cell(row: pd.Series[Any]) -> Cell:
    """How many of an arm's trials finished, and what became of the others."""
    finished = f"{row['finished']} of {row['planned'] - row[MISSING]}"
    if row["collapsed"]:
        finished += f" ({'all' if row['collapsed'] == row['finished'] else row['collapsed']} collapsed)"
    words = {MISSING: "to be trained"}
    others = [
        f"{row[outcome]} {words.get(outcome, outcome)}"
        for outcome in OUTCOMES
        if outcome != "finished" and row[outcome]
    ]
    return Cell(", ".join([finished, *others]), row["finished"])


def steps_cell(row: pd.Series[Any], target: float) -> Cell:
    """The median steps to a target, and how many trials reached it."""
    n, median = row[counted(target)], row[names.steps_to(target)]
    return Cell(f"{steps(median)} ({row[names.reached(target)]:.0f}/{n:.0f})", median) if n else Cell("")


def _keys(parts: Sequence[Subject]) -> list[str]:
    return [*parts[0].values, *parts[0].settings] if len(parts) > 1 else [*parts[0].settings] if parts else []


def _matched_table(table: SweepTable, parts: Sequence[Subject]) -> Table | None:
    parts = [subject for subject in parts if len(subject.differences)]
    keys = _keys(parts)
    rows = [row for subject in parts for _, row in subject.differences.iterrows()]
    cells = [(*setting_cells(row, keys), *_difference_cells(row)) for row in rows]
    at = " at equal learning rates" if LEARNING_RATE in keys else ""
    columns = (*setting_columns(table, keys), *_DIFFERENCE)
    made = make_rows(cells, len(keys), effects=[_effect(row) for row in rows])
    return Table(f"Paired differences of test accuracy{at}", columns, made) if rows else None


def _tuned_table(table: SweepTable, parts: Sequence[Subject]) -> Table | None:
    parts = [subject for subject in parts if len(subject.tuned_differences)]
    keys = [key for key in _keys(parts) if key != LEARNING_RATE]
    rows = [row for subject in parts for _, row in subject.tuned_differences.iterrows()]
    rates = [Cell(", ".join(f"{row[x]} {text(row[f'lr_{x}'])}" for x in "ab")) for row in rows]
    differences = [_difference_cells(row) for row in rows]
    cells = [
        (*setting_cells(row, keys), *own[:-1], rate, own[-1])
        for row, own, rate in zip(rows, differences, rates, strict=True)
    ]
    columns = (*setting_columns(table, keys), *_DIFFERENCE[:-1], Column("learning rates"), _DIFFERENCE[-1])
    made = make_rows(cells, len(keys), effects=[_effect(row) for row in rows])
    return Table("Paired differences, each level at its own tuned learning rate", columns, made) if rows else None


_DIFFERENCE = (
    Column("difference", drawn=True),
    Column("pp", numeric=True),
    Column("95 % interval", numeric=True, bounds=True),
    Column("pairs", numeric=True),
    Column("adjusted p", numeric=True, optional=True),
    Column("p", numeric=True, optional=True),
    Column("sign-flip p", numeric=True, optional=True),
    Column("detectable, pp", numeric=True, optional=True),
    Column("reading"),
)


def _difference_cells(row: pd.Series[Any]) -> tuple[Cell, ...]:
    return (
        Cell(f"{row['a']} - {row['b']}"),
        Cell(difference(row["mean"]), 100 * row["mean"]),
        _interval(row, signed=True),
        Cell(str(row["n"]), row["n"]),
        Cell(p_value(row["p_holm"]) if row["primary"] or row["n"] < 2 else "exploratory", row["p_holm"]),
        *(Cell(p_value(row[key]), row[key]) for key in ("p", "p_sign_flip")),
        Cell(percent(row["detectable"]), 100 * row["detectable"]),
        Cell(remark(row)),
    )


def _effect(row: pd.Series[Any]) -> Effect | None:
    if row["n"] == 0:
        return None
    firm = verdict(row) != Verdict.diverged and not doubts(row)
    mean, low, high, wide_low, wide_high = (100 * row[key] for key in ("mean", "low", "high", *_FAMILY))
    return Effect(mean, low, high, wide_low, wide_high, firm)


def _interval(row: pd.Series[Any], *, signed: bool) -> Cell:
    if pd.notna(row["low"]):
        ends = (100 * row["low"], 100 * row["high"])
        return Cell(span(row["low"], row["high"], signed=signed), ends[0], ends)
    return Cell({0: "", 1: "one seed"}.get(row["n"], "all equal"))
