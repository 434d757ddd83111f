"""The report as Markdown: all its words and tables; the figures are in the HTML report."""

from __future__ import annotations

from collections.abc import Iterator

from bnbench.analysis import SweepTable
from bnbench.report.cautions import cautions
from bnbench.report.conclusion import conclude, setup_sentence
from bnbench.report.provenance import created, facts
from bnbench.report.subjects import subjects
from bnbench.report.tables import Table, subject_tables

__all__ = ["to_markdown"]


def to_markdown(table: SweepTable) -> str:
    """The whole report but its figures, in GitHub's Markdown."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: SweepTable) -> Iterator[str]:
    meta = table.meta
    yield f"# {_escape(meta['question'] or meta['name'])}"
    yield from ("", f"Sweep `{meta['name']}`, {meta['id']}, {created(table)}.", "")
    yield _escape(setup_sentence(table))
    for finding in conclude(table):
        yield from ("", f"**{_escape(finding.subject)}**", "") if finding.subject else ("",)
        yield from (f"- **{_escape(said.claim)}**{_escape(said.evidence)}" for said in finding.sentences)
    yield from ("", "## Results")
    for subject in subjects(table):
        if subject.title:
            yield from ("", f"### {_escape(subject.title)}")
        for one in subject_tables(table, subject):
            yield from ("", f"**{one.title}**", "", *_table(one))
    yield from (
        "",
        "Figures are in [report.html](report.html), every number in [trials.csv](trials.csv) and ",
    )
    yield "[curves.csv](curves.csv)."
    yield from ("", "## What could mislead", "", *(f"- {_escape(line)}" for line in cautions(table)))
    yield from ("", "## The same bits again", "", *(f"- {name}: `{value}`" for name, value in facts(table)))


def _table(table: Table) -> Iterator[str]:
    yield _row([column.title for column in table.columns])
    yield _row(["---:" if column.numeric else "---" for column in table.columns])
    yield from (_row([_escape(cell) for cell in row.cells]) for row in table.rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    for mark in "\\|*_`<":
        text = text.replace(mark, f"\\{mark}")
    return text
