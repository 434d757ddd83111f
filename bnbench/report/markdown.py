"""The report as Markdown: all its text and tables; its figures are only in the HTML report."""

from __future__ import annotations

from collections.abc import Iterator

from bnbench.report.contents import Contents
from bnbench.report.table import Table


def to_markdown(contents: Contents) -> str:
    """The whole report without its figures, in GitHub's Markdown."""
    return "\n".join(_lines(contents)) + "\n"


def markdown_opening(contents: Contents) -> str:
    """The headlines, what was trained, and what the sweep supports, without tables."""
    return "\n".join(_opening(contents))


def markdown_conclusion(contents: Contents) -> str:
    """What was trained and what the sweep supports, without headlines and tables."""
    return "\n".join([*_unfinished(contents), *_conclusion(contents)])


def _lines(contents: Contents) -> Iterator[str]:
    yield f"# {escape(contents.title)}"
    yield from ("", f"Sweep `{contents.sweep}`, {contents.created}.", "")
    yield from _opening(contents)
    yield from ("", "## Results")
    for one in (contents.main, contents.forest):
        if one is not None:
            yield from ("", *markdown_table(one))
    yield from ("", "## What could mislead", "", *(f"- {escape(line)}" for line in contents.cautions))
    if contents.robustness is not None:
        yield from ("", "## Would other choices have said the same?", "", escape(contents.robustness.sentence), "")
        yield from markdown_table(contents.robustness.summary)
    if contents.claims:
        yield from ("", "## Claims")
    for claim in contents.claims:
        yield from ("", f"### {escape(claim.id)}: {escape(claim.verdict)}", "", escape(claim.sentence), "")
        yield from (escape(claim.evidence), "", *(f"- {escape(line)}" for line in claim.beside))
        yield from (f"- Published: {escape(line)}" for line in claim.published)
    if contents.numbers:
        yield from ("", "## All numbers")
    for title, tables in contents.numbers:
        if title:
            yield from ("", f"### {escape(title)}")
        for one in tables:
            yield from ("", *markdown_table(one))
    yield from ("", "Figures are in [report.html](report.html), every number in [trials.csv](trials.csv) and")
    yield "[curves.csv](curves.csv)."
    yield from ("", "## The same bits again", "", *(f"- {name}: `{value}`" for name, value in contents.facts))


def _opening(contents: Contents) -> Iterator[str]:
    yield from _unfinished(contents)
    yield from (f"- **{escape(str(headline))}**" for headline in contents.headlines)
    yield ""
    yield from _conclusion(contents)


def _unfinished(contents: Contents) -> Iterator[str]:
    if contents.unfinished:
        yield from (f"**{escape(contents.unfinished)}**", "")


def _conclusion(contents: Contents) -> Iterator[str]:
    yield escape(contents.setup)
    for conclusion in contents.conclusions:
        yield from ("", f"**On {escape(conclusion.subject)}**", "") if conclusion.subject else ("",)
        yield from (f"- **{escape(one.claim)}**{escape(one.evidence)}" for one in conclusion.sentences)


def markdown_table(table: Table) -> Iterator[str]:
    """The lines of a titled table."""
    yield from (f"**{escape(table.title)}**", "")
    yield _row([escape(column.full_title) for column in table.columns])
    yield _row(["---:" if column.numeric else "---" for column in table.columns])
    yield from (_row([escape(cell.text) for cell in row.cells]) for row in table.rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    for mark in "\\|*_`<":
        text = text.replace(mark, f"\\{mark}")
    return text
