"""A check as one self-contained HTML page, in the style of the reports."""

from __future__ import annotations

from bnbench.check.row import Report
from bnbench.check.text import heading
from bnbench.report.html import render_page
from bnbench.report.table import Cell, Column, Table, make_rows

_COLUMNS = (Column("group"), Column("property"), Column("outcome"), Column("difference", numeric=True), Column("what"))


def as_html(report: Report) -> str:
    """The page: the verdict, the faults, and all rows as one table."""
    cells = [
        (
            Cell(row.group),
            Cell(row.name),
            Cell(row.status.value),
            Cell("" if row.error is None else f"{row.error:.2g}", row.error),
            Cell(row.words),
        )
        for row in report.rows
    ]
    table = Table("Every property", _COLUMNS, make_rows(cells, leading=1))
    return render_page("check.html", report=report, heading=heading(report), table=table)
