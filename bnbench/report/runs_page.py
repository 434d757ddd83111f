"""All sweeps of a store on one page and in the terminal: when each was started, how it stands and what it found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnbench.config.workspace import Workspace
from bnbench.record.sweep_record import ListedSweep
from bnbench.record.whole_file import replace_file
from bnbench.report.html import render_page
from bnbench.report.number_words import count

PAGE = "index.html"
"""The page's file in `runs_dir`."""


@dataclass(frozen=True)
class Row:
    """A sweep as the page lists it.

    Attributes:
        title: `<name>-<id>`.
        created: When it was started, to the minute, UTC.
        trials: How many trials it planned, in words.
        status: How it ended in a word, such as "finished", or "running".
        headlines: Its answers.
        report: The address of its report from `runs_dir`; None where none is there.
    """

    title: str
    created: str
    trials: str
    status: str
    headlines: list[str]
    report: str | None


def write_runs_page(sweeps: Sequence[ListedSweep], workspace: Workspace) -> Path:
    """Write the page of these sweeps into `runs_dir`, with a link to each report that lies there."""
    rows = [_row(sweep, workspace) for sweep in sweeps]
    workspace.runs_dir.mkdir(parents=True, exist_ok=True)  # the store may be elsewhere
    path = workspace.runs_dir / PAGE
    replace_file(path, render_page("runs.html", rows=rows, store=workspace.address.shown))
    return path


def terminal_runs(sweeps: Sequence[ListedSweep], workspace: Workspace, width: int) -> str:
    """These sweeps as text: a line each, and its answers below it.

    Args:
        sweeps: As `Store.sweeps` lists them.
        workspace: Where their reports lie.
        width: Characters per line.
    """
    lines = []
    for row in (_row(sweep, workspace) for sweep in sweeps):
        lines.append(f"{row.created}  {row.title}  {row.trials}, {row.status}")
        for headline in row.headlines:
            lines += textwrap.wrap(headline, width, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _row(sweep: ListedSweep, workspace: Workspace) -> Row:
    report = workspace.sweep_folder(sweep.name, sweep.summary.id) / "report.html"
    return Row(
        title=sweep.title,
        created=sweep.summary.created[:16].replace("T", " "),
        trials=count(sweep.trials, "trial"),
        status=sweep.summary.status.lower(),
        headlines=sweep.headlines,
        report=report.relative_to(workspace.runs_dir).as_posix() if report.exists() else None,
    )
