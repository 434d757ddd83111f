"""The main contrasts under every defensible choice of analysis, and in how many choices the answer stays the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnbench.analysis import Analysis, Choice
from bnbench.analysis.design import comparable
from bnbench.record import names
from bnbench.report.number_words import difference, p_value, setting
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.tables import setting_cells, setting_columns

_MOST_CONTRASTS = 3  # contrasts shown at most, since each is computed for dozens of choices
_MOST_DETAILS = 24  # tables of single choices shown at most

_CHOICES = (
    "The choices: each learning rate, each measure of accuracy and each target, first or sustained hits, running or "
    "batch statistics."
)
_RULES = "Each is judged as the conclusion is: where trials failed, the counts of successes decide"

_ACCURACIES = {
    names.TEST_ACC: "test accuracy",
    names.VAL_ACC_FINAL: "last validation accuracy",
    names.VAL_ACC: "last validation accuracy on the curve",
    names.VAL_ACC_BATCH: "last validation accuracy, under batch statistics",
    names.ACC_BEST: "best validation accuracy",
}


@dataclass(frozen=True)
class RobustnessPanel:
    """How well the main contrasts hold under other choices.

    Attributes:
        sentence: A summary over all contrasts and settings.
        summary: A table with one row for each contrast and setting.
        details: For each of these rows a table of its choices, one by one.
    """

    sentence: str
    summary: Table
    details: list[Table]


def main_choices(analysis: Analysis) -> list[list[Choice]]:
    """Every choice for the main contrasts (those that the sweep names, else the first level's), stratum by stratum.

    The main choice of each stratum stands first.
    """
    pairs = analysis.pairs
    if not analysis.table.record.asked.contrasts:
        pairs = [pair for pair in pairs if analysis.levels[0] in pair]
    return [group for a, b in pairs[:_MOST_CONTRASTS] for group in analysis.robustness.choices(a, b)]


def robustness_panel(analysis: Analysis, choices: Sequence[list[Choice]]) -> RobustnessPanel | None:
    """The panel; None where there is one choice only, or no pair to compare."""
    # Leave out strata in which no choice has a pair to compare, or none yet.
    groups = [group for group in choices if any(choice.advantage.n for choice in group)]
    if max(map(len, groups), default=0) < 2:
        return None
    keys, pairs = analysis.conditions, list(dict.fromkeys((group[0].a, group[0].b) for group in groups))
    groups.sort(
        key=lambda group: (
            pairs.index((group[0].a, group[0].b)),
            *(analysis.rank(key, group[0].where[key]) for key in keys),
        )
    )
    columns = (
        *setting_columns(analysis, keys),
        Column("difference"),
        Column("main analysis"),
        Column("answer"),
        Column("holds in", numeric=True),
        Column("unclear in", numeric=True),
        Column("reversed in", numeric=True),
    )
    cells = [(*setting_cells(group[0].where, keys), *_summary(group)) for group in groups]
    corrected = any(choice.family for group in choices for choice in group)
    return RobustnessPanel(
        sentence=_sentence(groups),
        summary=Table(
            f"The main differences under other choices{'' if corrected else ', uncorrected'}",
            columns,
            make_rows(cells, len(keys)),
        ),
        details=[_details(group) for group in groups[:_MOST_DETAILS]],
    )


def choice_row(choice: Choice) -> dict[str, Any]:
    """A choice as a row of `robustness.csv`."""
    n, mean, low, high = choice.advantage.columns("").values()
    return {
        **choice.where,
        "choice": _title(choice),
        "rates": choice.rates,
        "n": n,
        "advantage": mean,
        "low": low,
        "high": high,
        "counts": _counts(choice),
        "p": choice.p,
        "measure": choice.measure,
        "family": choice.family,
        "answer": choice.answer,
        "holds": choice.holds,
        "a": choice.a,
        "b": choice.b,
    }


def _title(choice: Choice) -> str:
    """The choice in words."""
    if choice.target is not None:
        what = f"steps to {choice.target:g}{' for good' if choice.sustained else ''}"
    else:
        what = "trials that succeeded" if choice.successes else _ACCURACIES[choice.measure]
    if choice.rates is None:
        return what
    at = "each at its best learning rate" if choice.rates == "best" else f"learning rate {choice.rates:g}"
    return f"{what}, {at}"


def _counts(choice: Choice) -> str:
    """The counts of successes, `10 of 10 against 3 of 10`, where they decide; else empty."""
    return " against ".join(f"{hits} of {of}" for hits, of in choice.successes or ())


def _sentence(groups: Sequence[list[Choice]]) -> str:
    choices = f"{_CHOICES} {_corrected([choice.family for group in groups for choice in group])}"
    answered = [group for group in groups if group[0].answer != "unclear"]
    if not answered:
        return f"The main analysis has no answer that other choices could change. {choices}"
    answers = [choice for group in answered for choice in group]
    held, unclear = sum(choice.holds for choice in answers), sum(choice.answer == "unclear" for choice in answers)
    of = f" ({len(answered)} of {len(groups)} comparisons)" if len(answered) < len(groups) else ""
    return (
        f"Where the main analysis has an answer{of}, it holds in {held} of {len(answers)}; "
        f"{len(answers) - held - unclear} reverse it. {choices}"
    )


def _corrected(sizes: Sequence[int]) -> str:
    """The rules by which choices are judged, and whether p values are corrected."""
    if not any(sizes):
        return f"{_RULES}; no p is corrected, for the sweep named no comparison before it ran."
    low, high = min(size for size in sizes if size), max(sizes)
    of = f"{low}" if low == high else f"{low} to {high}"
    return f"{_RULES}; each choice is corrected for the comparisons that the sweep named, {of} of them."


def _summary(choices: Sequence[Choice]) -> tuple[Cell, ...]:
    main, n = choices[0], len(choices)
    held = sum(choice.holds for choice in choices)
    unclear = sum(choice.answer == "unclear" for choice in choices)
    answered = main.answer != "unclear"
    reversed_in = n - held - unclear if answered else 0
    return (
        Cell(f"{main.a} - {main.b}"),
        Cell(_title(main)),
        Cell(_answer(main)),
        Cell(f"{held} of {n}" if answered else "no answer to hold", held / n if answered else None),
        Cell(str(unclear), float(unclear)),
        Cell(str(reversed_in) if answered else "", float(reversed_in)),
    )


def _details(choices: Sequence[Choice]) -> Table:
    main = choices[0]
    columns = (
        Column("choice"),
        Column(f"advantage of {main.a} over {main.b}", numeric=True),
        Column("95 % interval", numeric=True),
        Column("pairs", numeric=True),
        Column("adjusted p" if any(choice.family for choice in choices) else "p, uncorrected", numeric=True),
        Column("answer"),
        Column("holds"),
    )
    cells = [
        (
            Cell(_title(choice)),
            Cell(_counts(choice) or _advantage(choice.advantage.mean, choice.measure), choice.advantage.mean),
            Cell(_interval(choice)),
            Cell(str(choice.advantage.n), choice.advantage.n),
            Cell(p_value(choice.p), choice.p),
            Cell(_answer(choice)),
            Cell("yes" if choice.holds else "no"),
        )
        for choice in choices
    ]
    where = setting({key: value for key, value in main.where.items() if comparable(value) is not None})
    return Table(f"{main.a} - {main.b}{where and f', {where}'}, choice by choice", columns, make_rows(cells, 0))


def _answer(choice: Choice) -> str:
    words = {"a": f"{choice.a} leads", "b": f"{choice.b} leads"}.get(choice.answer, "cannot tell")
    return f"{words}, by success ({_counts(choice)})" if choice.successes else words


def _advantage(value: float, measure: str) -> str:
    """An advantage in percentage points of accuracy, or as how many times fewer steps.

    >>> _advantage(0.012, "test/acc"), _advantage(0.6931, "steps_to/val_acc_0.9"), _advantage(float("nan"), "test/acc")
    ('+1.20 pp', '2.00 times', '')
    """
    if math.isnan(value):
        return ""
    if measure.startswith(names.steps_to(0).partition("/")[0]):
        return f"{math.exp(value):.2f} times" if value < 20 else "unbounded"
    return f"{difference(value)} pp"


def _interval(choice: Choice) -> str:
    if choice.advantage.low is None or choice.advantage.high is None:
        return ""
    low, high = (_advantage(end, choice.measure) for end in (choice.advantage.low, choice.advantage.high))
    return f"{low.rsplit(' ', 1)[0] if high != 'unbounded' else low} to {high}"
