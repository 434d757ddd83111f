"""The conclusion and the tables as plain text, for a terminal."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import TextIO

from bnbench.report.contents import Contents
from bnbench.report.number_words import setting
from bnbench.report.table import Cell, Row, Table
from bnbench.report.tables import subject_tables

_GAP = "  "
_BOLD, _GREEN, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_LEAST_WORDS = 16  # a column of words is not made narrower than this


def terminal_conclusion(contents: Contents, width: int) -> str:
    """What the sweep says, as wrapped text.

    Args:
        contents: What the report says.
        width: Characters per line.
    """
    lines = [*textwrap.wrap(contents.unfinished, width), ""] if contents.unfinished else []
    lines += textwrap.wrap(contents.setup, width)
    for conclusion in contents.conclusions:
        lines += ["", *([f"On {conclusion.subject}:"] if conclusion.subject else [])]
        for sentence in conclusion.sentences:
            lines += textwrap.wrap(str(sentence), width, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)


def terminal_headlines(contents: Contents, width: int, *, colour: bool = False) -> str:
    """The headlines as wrapped text, each behind a dot: a full one where its first question is settled.

    Args:
        contents: What the report says.
        width: Characters per line.
        colour: Whether the terminal has colours; see `has_colour`.
    """
    lines = []
    for headline in contents.headlines:
        dot, code = ("\N{BLACK CIRCLE}", _GREEN) if headline.state.settled else ("\N{WHITE CIRCLE}", _YELLOW)
        said = textwrap.wrap(f"{dot} {headline}", width, subsequent_indent="  ")
        if colour:
            said = [f"{_BOLD}{line}{_PLAIN}" for line in said]
            said[0] = said[0].replace(dot, f"{code}{dot}{_PLAIN}{_BOLD}", 1)
        lines += said
    return "\n".join(lines)


def has_colour(stream: TextIO) -> bool:
    """Whether text on this stream may be coloured: it is a terminal, and nobody asked for none by `NO_COLOR`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_table(contents: Contents, width: int) -> str:
    """The arms and their paired differences as aligned text, subject by subject.

    Where a table is wider than the terminal, the steps to targets are left out, and a line says so.

    Args:
        contents: What the report says.
        width: Characters per line.
    """
    blocks = []
    for subject in contents.analysis.subjects:
        for one in subject_tables(contents.analysis, subject):
            title = ": ".join(filter(None, [setting(subject.where), one.title]))
            blocks.append("\n".join([title, *table_lines(one, width)]))
    return "\n\n".join(blocks)


def table_lines(table: Table, width: int) -> list[str]:
    """A table as aligned lines; where it is wider than `width`, optional columns are left out, and a line says so."""
    shown = list(range(len(table.columns)))
    left_out: list[str] = []
    while sum(_widths(table, shown)) + len(_GAP) * (len(shown) - 1) > width:
        optional = [i for i in shown if table.columns[i].optional]
        if not optional:
            break
        shown.remove(optional[-1])
        left_out.insert(0, table.columns[optional[-1]].title)
    heads = Row(tuple(Cell(column.full_title) for column in table.columns), 0)
    widths = _widths(table, shown)
    # If the table is still too wide, the text of the last column is wrapped.
    widths[-1] = max(_LEAST_WORDS, min(widths[-1], width - sum(widths[:-1]) - len(_GAP) * (len(shown) - 1)))
    lines = [line for row in (heads, *table.rows) for line in _lines(table, row, shown, widths)]
    lines.insert(1, "-" * max(map(len, lines)))
    return lines + ([f"Left out to fit {width} columns: {', '.join(left_out)}."] if left_out else [])


def _widths(table: Table, kept: list[int]) -> list[int]:
    return [max(len(table.columns[i].full_title), *(len(row.cells[i].text) for row in table.rows)) for i in kept]


def _lines(table: Table, row: Row, shown: list[int], widths: list[int]) -> Iterator[str]:
    cells = []
    for i, width in zip(shown, widths, strict=True):
        cell = "" if i < row.repeats else row.cells[i].text
        cells.append(cell.rjust(width) if table.columns[i].numeric else cell.ljust(width))
    last = cells.pop()
    first, *more = [last] if table.columns[shown[-1]].numeric else textwrap.wrap(last, widths[-1]) or [""]
    yield _GAP.join([*cells, first]).rstrip()
    yield from (" " * (sum(widths[:-1]) + len(_GAP) * len(cells)) + line for line in more)
