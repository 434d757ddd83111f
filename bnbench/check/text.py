"""A check as a table in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from bnbench.check.row import Report, Row, Status

_GAP = "  "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_COLOURS = {Status.holds: "\x1b[32m", Status.differs: "\x1b[31m", Status.refused: "\x1b[33m", Status.convention: ""}


def as_text(report: Report, width: int, *, colour: bool = False) -> str:
    """The table, group by group, and the verdict.

    Args:
        report: What was found.
        width: Characters per line.
        colour: Whether the terminal has colours.
    """
    names = max(len(row.name) for row in report.rows)
    lines = [heading(report)]
    groups = list(dict.fromkeys(row.group for row in report.rows))
    for group in groups:
        lines += ["", f"{_BOLD}{group}{_PLAIN}" if colour else group]
        for row in report.rows:
            if row.group == group:
                lines += _lines(row, names, width, colour)
    lines += ["", *textwrap.wrap(report.verdict, width)]
    return "\n".join(lines)


def heading(report: Report) -> str:
    """What was checked, with the versions that computed it."""
    arguments = "".join(f" {name}={value}" for name, value in report.arguments.items())
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    like = f"; asked to be like {report.like}" if report.like else ""
    return f"{report.name}{arguments}: {report.framework}{f' ({versions})' if versions else ''}{like}"


def _lines(row: Row, names: int, width: int, colour: bool) -> Iterator[str]:
    status = row.status.value.ljust(len(Status.convention))
    code = _COLOURS[row.status]
    shown = f"{code}{status}{_PLAIN}" if colour and code else status
    indent = 2 + names + len(_GAP) + len(status) + len(_GAP)
    first, *more = textwrap.wrap(row.words, max(width - indent, 30)) or [""]
    yield f"  {row.name.ljust(names)}{_GAP}{shown}{_GAP}{first}".rstrip()
    yield from (" " * indent + line for line in more)
