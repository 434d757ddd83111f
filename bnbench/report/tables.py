"""The report's tables as text cells; terminal, Markdown and HTML only lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnbench import names
from bnbench.analysis import SweepTable, targets
from bnbench.analysis.summary import OUTCOMES, counted
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.report.cells import difference, key_title, percent, span, steps, text
from bnbench.report.subjects import Subject
from bnbench.report.verdict import remark

__all__ = ["Column", "Row", "Table", "level_title", "subject_tables"]


@dataclass(frozen=True)
class Column:
    """A column's head, and whether a narrow terminal may leave it out."""

    title: str
    numeric: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Row:
    """A row of text.

    Attributes:
        cells: One text a column.
        repeats: How many leading cells are those of the row above.
        level: The compared level it belongs to; None in a row that compares two.
    """

    cells: tuple[str, ...]
    repeats: int
    level: str | None = None


@dataclass(frozen=True)
class Table:
    """A titled table."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def is_grouped(self) -> bool:
        """Whether rows of one setting stand together."""
        return any(row.repeats for row in self.rows)


def subject_tables(table: SweepTable, subject: Subject) -> list[Table]:
    """The arms, their paired differences, and those at tuned learning rates; an empty table is left out."""
    made = [
        _arm_table(table, subject) if len(subject.arms) else None,
        _difference_table(subject) if len(subject.differences) else None,
        _tuned_table(subject) if len(subject.tuned_differences) else None,
    ]
    return [one for one in made if one is not None]


def level_title(table: SweepTable) -> str:
    """What the compared levels are levels of."""
    return "norm" if table.meta["compare"][:1] == ["norm"] else "level"


def _arm_table(table: SweepTable, subject: Subject) -> Table:
    arms = subject.arms
    own = [target for target in targets(table) if arms[counted(target)].max() > 0]
    columns = [
        *_setting_columns(subject.settings),
        Column(level_title(table)),
        Column("accuracy, %", numeric=True),
        Column("95 % interval", numeric=True),
        Column("finished"),
        *(Column(f"steps to {target:g}", numeric=True, optional=True) for target in own),
    ]
    cells = [
        (
            *(text(row[key]) for key in subject.settings),
            row["level"],
            percent(row["mean"]),
            _interval(row, signed=False),
            _outcome(row),
            *(_steps(row, target) for target in own),
        )
        for _, row in arms.iterrows()
    ]
    title = "Test accuracy" + ("; median steps to a target (trials that reached it)" if own else "")
    return Table(title, tuple(columns), _rows(cells, len(subject.settings), list(arms["level"])))


def _difference_table(subject: Subject) -> Table:
    rows = subject.differences
    columns = [*_setting_columns(subject.settings), *_difference_columns()]
    cells = [(*(text(row[key]) for key in subject.settings), *_difference_cells(row)) for _, row in rows.iterrows()]
    at = " at equal learning rates" if LEARNING_RATE in subject.settings else ""
    title = f"Paired differences of test accuracy{at}"
    return Table(title, tuple(columns), _rows(cells, len(subject.settings)))


def _tuned_table(subject: Subject) -> Table:
    rows = subject.tuned_differences
    conditions = [key for key in subject.settings if key != LEARNING_RATE]
    columns = [*_setting_columns(conditions), *_difference_columns(), Column("learning rates")]
    cells = []
    for _, row in rows.iterrows():
        rates = ", ".join(f"{row[x]} {text(row[f'lr_{x}'])}" for x in "ab")
        cells.append((*(text(row[key]) for key in conditions), *_difference_cells(row), rates))
    title = "Paired differences, each level at its own tuned learning rate"
    return Table(title, tuple(columns), _rows(cells, len(conditions)))


def _setting_columns(keys: Sequence[str]) -> list[Column]:
    return [Column(key_title(key), numeric=True) for key in keys]


def _difference_columns() -> list[Column]:
    return [
        Column("difference"),
        Column("pp", numeric=True),
        Column("95 % interval", numeric=True),
        Column("pairs", numeric=True),
        Column("reading"),
    ]


def _difference_cells(row: pd.Series[Any]) -> tuple[str, ...]:
    contrast = f"{row['a']} - {row['b']}"
    return contrast, difference(row["mean"]), _interval(row, signed=True), str(row["n"]), remark(row)


def _interval(row: pd.Series[Any], *, signed: bool) -> str:
    if pd.notna(row["low"]) or row["n"] == 0:
        return span(row["low"], row["high"], signed=signed)
    return "one seed" if row["n"] == 1 else "all equal"


def _outcome(row: pd.Series[Any]) -> str:
    """How many of an arm's trials finished, and what became of the others."""
    others = [f"{row[outcome]} {outcome}" for outcome in OUTCOMES if outcome != "finished" and row[outcome]]
    return ", ".join([f"{row['finished']} of {row['planned']}", *others])


def _steps(row: pd.Series[Any], target: float) -> str:
    n = row[counted(target)]
    return f"{steps(row[names.steps_to(target)])} ({row[names.reached(target)]:.0f}/{n:.0f})" if n else ""


def _rows(cells: Sequence[tuple[str, ...]], leading: int, levels: Sequence[str] | None = None) -> tuple[Row, ...]:
    rows = []
    for i, row in enumerate(cells):
        above = cells[i - 1] if i else ()
        repeats = 0
        while repeats < leading and i and row[repeats] == above[repeats]:
            repeats += 1
        rows.append(Row(row, repeats, levels[i] if levels else None))
    return tuple(rows)
