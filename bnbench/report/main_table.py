"""The main table: every level on every data set and model, at one learning rate for all and at its own best one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bnbench.analysis import Analysis, Arm
from bnbench.analysis.design import LEARNING_RATE, matching
from bnbench.analysis.subjects import Subject
from bnbench.report.conclusion import headline_target
from bnbench.report.number_words import text
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


def main_table(analysis: Analysis) -> Table | None:
    """One row for each setting and level; None for a sweep without arms.

    Where learning rates were tuned, each row has its level at two rates: the one tuned for the first level ("none",
    where there is one), which is the matched comparison, and its own. Elsewhere every arm has a row.
    """
    parts = [subject for subject in analysis.subjects if subject.arms]
    if not any(subject.tuned for subject in parts):
        return arm_table(analysis, parts)
    keys = [*parts[0].where, *(key for key in parts[0].settings if key != LEARNING_RATE)]
    columns = (
        *setting_columns(analysis, keys),
        Column(level_title(analysis)),
        Column("target", numeric=True),
        *_measured(f"at {analysis.levels[0]}'s learning rate"),
        *_measured("at its own"),
    )
    labelled = [row for subject in parts for row in _rows(analysis, subject, keys)]
    rows = make_rows([cells for cells, _ in labelled], len(keys), levels=[level for _, level in labelled])
    return Table("Test accuracy, % (± half of the 95 % interval); median steps to the target", columns, rows)


def _measured(group: str) -> list[Column]:
    return [
        Column("rate", numeric=True, group=group),
        Column("accuracy", numeric=True, group=group),
        Column("steps", numeric=True, group=group, optional=True),
        Column("finished", group=group, optional=True),
    ]


def _rows(analysis: Analysis, subject: Subject, keys: Sequence[str]) -> Iterator[tuple[tuple[Cell, ...], str]]:
    target = headline_target(subject.arms)
    conditions = [key for key in subject.settings if key != LEARNING_RATE]
    for where, _ in analysis.split(subject.trials, conditions):
        rates = {one.level: one.rate for one in matching(subject.tuned, where)}
        here = matching(subject.arms, where)
        for level in analysis.levels:
            arms = [arm for arm in here if arm.level == level]
            if arms:
                cells = (
                    *setting_cells({**subject.where, **where}, keys),
                    Cell(level),
                    Cell("" if target is None else f"{target:g}", target),
                    *_at(arms, rates.get(analysis.levels[0]), target),
                    *_at(arms, rates.get(level), target),
                )
                yield cells, level


def _at(arms: Sequence[Arm], rate: float | None, target: float | None) -> tuple[Cell, ...]:
    """What one level measured at one learning rate; empty cells where no rate could be chosen."""
    for arm in arms:
        if rate is not None and arm.where[LEARNING_RATE] == rate:
            took = Cell("") if target is None else steps_cell(arm, target)
            return Cell(text(rate), rate), estimate_cell(arm.accuracy), took, outcome_cell(arm.outcomes)
    return (Cell(""),) * 4
