"""The main contrasts under every defensible choice: in how many of them the answer stays what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable, contrasts, levels, strata
from bnbench.analysis.robustness import robustness
from bnbench.analysis.summary import split_by
from bnbench.analysis.tuning import LEARNING_RATE
from bnbench.record import names
from bnbench.report.number_words import difference, p_value, setting
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.tables import setting_cells, setting_columns

_MOST_CONTRASTS = 3  # each is computed some dozens of times
_MOST_DETAILS = 24  # tables of single choices

_CHOICES = (
    "The choices: each learning rate, each measure of accuracy and each target, first or sustained hits, running or "
    "batch statistics."
)
_RULES = "Each is judged as the conclusion is: where trials failed, the counts of successes decide"


@dataclass(frozen=True)
class Robustness:
    """How the main contrasts hold.

    Attributes:
        sentence: Over all contrasts and settings.
        summary: One row for each contrast and setting.
        details: The choices one by one, a table for each of these rows.
    """

    sentence: str
    summary: Table
    details: list[Table]


def robustness_panel(table: SweepTable) -> Robustness | None:
    """The panel; None where there is one choice only, or no pair to compare."""
    rows = robustness_data(table)
    if rows.empty or not rows["n"].any():
        return None
    keys = [key for key in strata(table) if key != LEARNING_RATE]
    groups = [
        (values, a, b, own)
        for a, b in _main(table)
        for values, own in _groups(table, rows, keys, a, b)
        if own["n"].any()  # where nothing can be compared, or yet, no choice says anything
    ]
    if max((len(own) for *_, own in groups), default=0) < 2:
        return None
    columns = (
        *setting_columns(table, keys),
        Column("difference"),
        Column("main analysis"),
        Column("answer"),
        Column("holds in", numeric=True),
        Column("unclear in", numeric=True),
        Column("reversed in", numeric=True),
    )
    cells = [(*setting_cells(values, keys), *_summary(a, b, own)) for values, a, b, own in groups]
    return Robustness(
        sentence=_sentence([own for *_, own in groups]),
        summary=Table(
            f"The main differences under other choices{'' if rows['family'].any() else ', uncorrected'}",
            columns,
            make_rows(cells, len(keys)),
        ),
        details=[_details(values, a, b, own) for values, a, b, own in groups[:_MOST_DETAILS]],
    )


@lru_cache(maxsize=2)  # the panel and its data are asked for one after the other
def robustness_data(table: SweepTable) -> pd.DataFrame:
    """Every choice of the main contrasts, as `analysis.robustness` has it, with the levels `a` and `b`."""
    frames = [robustness(table, a, b).assign(a=a, b=b) for a, b in _main(table)]
    return pd.concat(frames) if any(len(frame) for frame in frames) else pd.DataFrame()


def _main(table: SweepTable) -> list[tuple[str, str]]:
    """The contrasts that the sweep names, or else those against its first level."""
    found = contrasts(table)
    if not table.record.asked.contrasts:
        found = [pair for pair in found if levels(table)[0] in pair]
    return found[:_MOST_CONTRASTS]


def _groups(
    table: SweepTable, rows: pd.DataFrame, keys: list[str], a: str, b: str
) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    return list(split_by(table, rows[(rows["a"] == a) & (rows["b"] == b)], keys))


def _sentence(groups: list[pd.DataFrame]) -> str:
    choices = f"{_CHOICES} {_corrected([size for own in groups for size in own['family'].unique()])}"
    answered = [own for own in groups if own["answer"].iloc[0] != "unclear"]
    if not answered:
        return f"The main analysis has no answer that other choices could change. {choices}"
    held, n = sum(int(own["holds"].sum()) for own in answered), sum(len(own) for own in answered)
    turned = n - held - sum(int((own["answer"] == "unclear").sum()) for own in answered)
    of = f" ({len(answered)} of {len(groups)} comparisons)" if len(answered) < len(groups) else ""
    return f"Where the main analysis has an answer{of}, it holds in {held} of {n}; {turned} reverse it. {choices}"


def _corrected(sizes: Sequence[int]) -> str:
    """By which rules the choices are judged."""
    if not any(sizes):
        return f"{_RULES}; no p is corrected, for the sweep named no comparison before it ran."
    low, high = min(size for size in sizes if size), max(sizes)
    of = f"{low}" if low == high else f"{low} to {high}"
    return f"{_RULES}; each choice is corrected for the comparisons that the sweep named, {of} of them."


def _summary(a: str, b: str, own: pd.DataFrame) -> tuple[Cell, ...]:
    first, answers = own["answer"].iloc[0], own["answer"]
    opposite = {"a": "b", "b": "a"}.get(first, "")
    held = int(own["holds"].sum())
    return (
        Cell(f"{a} - {b}"),
        Cell(str(own["choice"].iloc[0])),
        Cell(_answer(own.iloc[0], a, b)),
        Cell(f"{held} of {len(own)}" if opposite else "no answer to hold", held / len(own) if opposite else None),
        Cell(str((answers == "unclear").sum()), float((answers == "unclear").sum())),
        Cell(str((answers == opposite).sum()) if opposite else "", float((answers == opposite).sum())),
    )


def _details(values: dict[str, Any], a: str, b: str, own: pd.DataFrame) -> Table:
    columns = (
        Column("choice"),
        Column(f"advantage of {a} over {b}", numeric=True),
        Column("95 % interval", numeric=True),
        Column("pairs", numeric=True),
        Column("adjusted p" if own["family"].any() else "p, uncorrected", numeric=True),
        Column("answer"),
        Column("holds"),
    )
    cells = [
        (
            Cell(str(row["choice"])),
            Cell(row["counts"] or _advantage(row["advantage"], row["measure"]), row["advantage"]),
            Cell(_interval(row)),
            Cell(str(row["n"]), row["n"]),
            Cell(p_value(row["p"]), row["p"]),
            Cell(_answer(row, a, b)),
            Cell("yes" if row["holds"] else "no"),
        )
        for _, row in own.iterrows()
    ]
    where = setting({key: value for key, value in values.items() if not pd.isna(value)})
    return Table(f"{a} - {b}{where and f', {where}'}, choice by choice", columns, make_rows(cells, 0))


def _answer(row: pd.Series[Any], a: str, b: str) -> str:
    found = {"a": f"{a} leads", "b": f"{b} leads"}.get(row["answer"], "cannot tell")
    return f"{found}, by success ({row['counts']})" if row["counts"] else found


def _advantage(value: float, measure: str) -> str:
    """In percentage points of accuracy, or as so many times fewer steps.

    >>> _advantage(0.012, "test/acc"), _advantage(0.6931, "steps_to/val_acc_0.9"), _advantage(float("nan"), "test/acc")
    ('+1.20 pp', '2.00 times', '')
    """
    if math.isnan(value):
        return ""
    if measure.startswith(names.steps_to(0).partition("/")[0]):
        return f"{math.exp(value):.2f} times" if value < 20 else "unbounded"
    return f"{difference(value)} pp"


def _interval(row: pd.Series[Any]) -> str:
    if math.isnan(row["low"]):
        return ""
    low, high = (_advantage(row[end], row["measure"]) for end in ("low", "high"))
    return f"{low.rsplit(' ', 1)[0] if high != 'unbounded' else low} to {high}"
