"""The main table: every level on every data set and model, at one learning rate for all and each at its own best."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bnbench.analysis import SweepTable, levels
from bnbench.analysis.summary import matching, split_by
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.report.conclusion import headline_target
from bnbench.report.number_words import text
from bnbench.report.subjects import Subject, subjects
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.tables import (
    arm_table,
    estimate_cell,
    level_title,
    outcome_cell,
    setting_cells,
    setting_columns,
    steps_cell,
)


def main_table(table: SweepTable) -> Table | None:
    """One row for each setting and level; None for a sweep without arms.

    Where learning rates were tuned, each level stands twice: at the rate that was tuned for the first level
    ("none", where there is one), which is the matched comparison, and at its own. Elsewhere every arm has its row.
    """
    parts = [subject for subject in subjects(table) if len(subject.arms)]
    if not any(len(subject.tuned) for subject in parts):
        return arm_table(table, parts)
    keys = [*parts[0].values, *(key for key in parts[0].settings if key != LEARNING_RATE)]
    reference = levels(table)[0]
    columns = [
        *setting_columns(table, keys),
        Column(level_title(table)),
        Column("target", numeric=True),
        *_measured(f"at {reference}'s learning rate"),
        *_measured("at its own"),
    ]
    made = [row for subject in parts for row in _rows(table, subject, keys, reference)]
    rows = make_rows([cells for cells, _ in made], len(keys), levels=[level for _, level in made])
    return Table("Test accuracy, % (± half of the 95 % interval); median steps to the target", tuple(columns), rows)


def _measured(group: str) -> list[Column]:
    return [
        Column("rate", numeric=True, group=group),
        Column("accuracy", numeric=True, group=group),
        Column("steps", numeric=True, group=group, optional=True),
        Column("finished", group=group, optional=True),
    ]


def _rows(
    table: SweepTable, subject: Subject, keys: list[str], reference: str
) -> Iterator[tuple[tuple[Cell, ...], str]]:
    target = headline_target(table, subject.arms)
    conditions = [key for key in subject.settings if key != LEARNING_RATE]
    for values, _ in split_by(table, subject.trials, conditions):
        arms, tuned = (matching(frame, values) for frame in (subject.arms, subject.tuned))
        rates = dict(zip(tuned["level"], tuned[LEARNING_RATE], strict=True)) if len(tuned) else {}
        for level in levels(table):
            own = arms[arms["level"] == level] if len(arms) else arms
            if len(own):
                cells = (
                    *setting_cells({**subject.values, **values}, keys),
                    Cell(level),
                    Cell("" if target is None else f"{target:g}", target),
                    *_at(own, rates.get(reference), target),
                    *_at(own, rates.get(level), target),
                )
                yield cells, level


def _at(arms: pd.DataFrame, rate: float | None, target: float | None) -> tuple[Cell, ...]:
    """What one level measured at one learning rate; empty cells where no rate could be chosen."""
    rows = arms[arms[LEARNING_RATE] == rate] if rate is not None else arms[:0]
    if rows.empty:
        return (Cell(""),) * 4
    row = rows.iloc[0]
    took = Cell("") if target is None else steps_cell(row, target)
    return Cell(text(row[LEARNING_RATE]), row[LEARNING_RATE]), estimate_cell(row), took, outcome_cell(row)
