"""What `advise` found as a page beside the sweep's report: the sentence, its numbers and the network's norms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.record.whole_file import replace_file
from bnbench.report.advice import Answer, advice, reasons, remedy
from bnbench.report.contents import Contents
from bnbench.report.html import render_page
from bnbench.report.table import Cell, Column, Table, make_rows

PAGE = "advice.html"
"""The page's file, in the folder of the sweep."""


def write_advice(
    contents: Contents,
    found: Sequence[Answer],
    base: str,
    activation: str,
    sites: Sequence[Sequence[str]],
    folder: Path,
) -> Path:
    """Write the page; the same answers give the same bytes.

    Args:
        contents: The report of the sweep that was trained.
        found: The answers.
        base: What the network has now; see `advice`.
        activation: What its norms stand beside.
        sites: The network's norms as rows of text, under a row of heads.
        folder: Of the sweep, where its report lies.
    """
    heads, *rows = sites
    columns = tuple(Column(head) for head in heads)
    table = Table("The network's norms", columns, make_rows([tuple(map(Cell, row)) for row in rows], 0))
    page = render_page(
        "advice.html",
        sentence=advice(found, base, activation),
        settled=bool(found) and all(one.standing.state.settled for one in found),
        reasons=reasons(found, base),
        remedy=remedy(found),
        table=table,
        contents=contents,
        facts=contents.facts,
    )
    replace_file(folder / PAGE, page)
    return folder / PAGE
