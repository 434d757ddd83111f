"""A norm's card as a page, as JSON and as text for a terminal: the same rows in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnbench.record.whole_file import replace_file
from bnbench.report.card import CardRow, Verdict, counted
from bnbench.report.html import render_page
from bnbench.report.number_words import number
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.terminal import table_lines


@dataclass(frozen=True)
class Card:
    """What is known of a norm so far.

    Attributes:
        norm: What it is called: its function, or the name of a built-in norm.
        own: Its level in the sweeps.
        others: The levels that it is compared with.
        command: What runs it again.
        setup: What was trained on what data, in a sentence.
        minutes: The budget.
        margin: The largest difference of accuracies that does not matter, with its unit.
        rows: What was found.
        conditions: Versions and machine, by name.
        left_out: What there was no time for, a part each.
    """

    norm: str
    own: str
    others: Sequence[str]
    command: str
    setup: str
    minutes: float
    margin: str
    rows: Sequence[CardRow]
    conditions: dict[str, str]
    left_out: Sequence[str] = ()

    @property
    def headline(self) -> str:
        """The verdicts in numbers."""
        return f"{self.norm} is {counted(self.rows)}" if self.rows else f"{self.norm}: {counted(self.rows)}"

    @property
    def too_short(self) -> str:
        """What was left out for lack of time, in a line; empty where nothing was."""
        if not self.left_out:
            return ""
        return f"Left out, for {self.minutes:g} minutes were too short: {'. '.join(self.left_out)}."

    @property
    def table(self) -> Table:
        """One line a row."""
        columns = (
            Column("setting"),
            Column("verdict"),
            *(Column(name, numeric=True) for name in (self.own, *self.others)),
            Column("seeds", numeric=True, optional=True),
            Column("beside"),
            Column("difference", numeric=True),
            Column("interval", numeric=True, bounds=True),
            Column("why"),
        )
        title = (
            "Test accuracy in %, with how many trials trained where not all did, and learning rates that train (* the "
            f"grid ends there); differences {self.own} - other"
        )
        return Table(title, columns, make_rows([_cells(row, self) for row in self.rows], 0))

    @property
    def settled(self) -> bool:
        """Whether each row has its verdict."""
        return bool(self.rows) and all(row.verdict not in {Verdict.open, Verdict.untried} for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values."""
        return {
            "norm": self.norm,
            "command": self.command,
            "setup": self.setup,
            "minutes": self.minutes,
            "margin": self.margin,
            "conditions": self.conditions,
            "left_out": [*self.left_out],
            "rows": [row.to_json() for row in self.rows],
        }


def write_card(card: Card, folder: Path) -> tuple[Path, Path]:
    """Write card.html and card.json; the same card gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "card.html", folder / "card.json"
    replace_file(page, render_page("card.html", card=card, verdicts=_MEANINGS))
    replace_file(data, json.dumps(card.to_json(), indent=1, allow_nan=False) + "\n")
    return page, data


def terminal_card(card: Card, width: int) -> str:
    """The card as aligned text."""
    return "\n".join([card.headline, "", *table_lines(card.table, width), *filter(None, [card.too_short])])


def _cells(row: CardRow, card: Card) -> tuple[Cell, ...]:
    unit = {"pp": " pp"}.get(row.unit, " decades")
    estimate = Cell("") if row.estimate is None else Cell(f"{number(row.estimate)}{unit}", row.estimate)
    interval = Cell("")
    if row.low is not None and row.high is not None:
        interval = Cell(f"{number(row.low)} to {number(row.high)}", row.low, (row.low, row.high))
    return (
        Cell(row.setting or row.part),
        Cell(str(row.verdict)),
        *(Cell(row.shown.get(name, "")) for name in (card.own, *card.others)),
        Cell(str(row.pairs or ""), row.pairs),
        Cell(row.beside),
        estimate,
        interval,
        Cell(row.remark),
    )


_MEANINGS = {
    Verdict.better: "better than each of the others, by more than the margin",
    Verdict.equivalent: "within the margin of some of the others, and better than the rest by more",
    Verdict.worse: "worse than one of the others at least, by more than the margin",
    Verdict.fails: "half of its trials or more diverged, or learned nothing",
    Verdict.undefined: "one value per channel and nothing to normalize it with, so that nothing was trained",
    Verdict.open: "what was measured does not tell",
    Verdict.untried: "the budget had no room for it",
}
