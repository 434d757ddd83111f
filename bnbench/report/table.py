"""The parts of the report's tables; terminal, Markdown, LaTeX and HTML only lay them out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True)
class Column:
    """A column's head.

    Attributes:
        title: The column's title.
        numeric: Whether it holds numbers, which are aligned right.
        optional: Whether a narrow terminal may leave it out.
        group: The common head of this column and its neighbours; empty for none.
        bounds: Whether it is the interval of the column before it.
        drawn: Whether the rows' effects are drawn after it.
    """

    title: str
    numeric: bool = False
    optional: bool = False
    group: str = ""
    bounds: bool = False
    drawn: bool = False

    @property
    def full_title(self) -> str:
        """The title with its group, for where there is no room for a head over several columns."""
        return f"{self.title}, {self.group}" if self.group else self.title


class Cell(NamedTuple):
    """A cell's text, and the numbers behind it.

    Attributes:
        text: The text as shown.
        order: The number to sort the cell by; None to sort it by its text.
        bounds: An interval's two ends, in the text's unit; None where there is no interval.
    """

    text: str
    order: float | None = None
    bounds: tuple[float, float] | None = None


class Effect(NamedTuple):
    """A paired difference, to be drawn; in percentage points.

    Attributes:
        mean: The estimate.
        low, high: Its 95 % interval; NaN where there is none.
        wide_low, wide_high: The interval that holds for all primary comparisons at once; NaN where there is none.
        firm: Whether it may be read as it stands; False where trials failed or it settles nothing.
    """

    mean: float
    low: float
    high: float
    wide_low: float
    wide_high: float
    firm: bool


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: One cell per column.
        repeats: How many leading cells are those of the row above.
        level: The compared level it belongs to; None in a row that compares two.
        effect: What is drawn beside it, or None.
    """

    cells: tuple[Cell, ...]
    repeats: int
    level: str | None = None
    effect: Effect | None = None


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

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The heads over several columns, each with its number of columns; empty if there are none."""
        heads: list[tuple[str, int]] = []
        for column in self.columns:
            if heads and column.group and heads[-1][0] == column.group:
                heads[-1] = (column.group, heads[-1][1] + 1)
            else:
                heads.append((column.group, 1))
        return heads if any(title for title, _ in heads) else []

    def without(self, titles: Collection[str]) -> Table:
        """The table without some of its columns."""
        remaining = [i for i, column in enumerate(self.columns) if column.title not in titles]
        rows = [replace(row, cells=tuple(row.cells[i] for i in remaining)) for row in self.rows]
        return Table(self.title, tuple(self.columns[i] for i in remaining), tuple(rows))

    @property
    def effects(self) -> list[Effect]:
        """What is drawn beside its rows."""
        return [row.effect for row in self.rows if row.effect is not None]


def make_rows(
    cells: Sequence[tuple[Cell, ...]],
    leading: int,
    *,
    levels: Sequence[str] | None = None,
    effects: Sequence[Effect | None] | None = None,
) -> tuple[Row, ...]:
    """Rows that know how many of their leading cells repeat the row above.

    Args:
        cells: The cells of each row.
        leading: How many cells at the start of a row are its setting.
        levels: The level of each row.
        effects: What is drawn beside each row.
    """
    rows = []
    for i, row in enumerate(cells):
        above = cells[i - 1] if i else ()
        repeats = 0
        while repeats < leading and i and row[repeats] == above[repeats]:
            repeats += 1
        rows.append(Row(row, repeats, levels[i] if levels else None, effects[i] if effects else None))
    return tuple(rows)
