"""An executed lesson as one self-contained page, in the style of the reports.

Why not nbconvert's: its pages load scripts from elsewhere, and show a class the code first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnbench.lessons.slide import for_page
from bnbench.lessons.source import Lesson
from bnbench.report.html import render_page

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Block:
    """A part of the page.

    Attributes:
        kind: "prose", "code", "printed", "figure" or "table".
        tag: Its cell's tag; empty for none.
        body: HTML, but for code and what was printed, which are plain text.
    """

    kind: str
    tag: str
    body: str


def as_page(lesson: Lesson, notebook: NotebookNode, seconds: float) -> str:
    """The page.

    Args:
        lesson: The lesson.
        notebook: Its notebook, executed.
        seconds: What that took.
    """
    return render_page("lesson.html", lesson=lesson, blocks=_blocks(notebook), seconds=seconds)


def _blocks(notebook: NotebookNode) -> list[Block]:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    blocks: list[Block] = []
    for cell in notebook.cells:
        tag = next(iter(cell.metadata.get("tags", [])), "")
        if cell.cell_type == "markdown":
            blocks.append(Block("prose", tag, markdown.render(cell.source)))
            continue
        blocks.append(Block("code", tag, cell.source))
        for output in cell.outputs:
            block = _output(output, tag, markdown)
            if block is None:
                continue
            if block.kind == blocks[-1].kind == "printed":  # what a cell prints comes in pieces, as time passes
                block = Block("printed", tag, f"{blocks.pop().body}\n{block.body}")
            blocks.append(block)
    return blocks


def _output(output: Any, tag: str, markdown: Any) -> Block | None:
    """What one output of a cell is on the page; nothing for a progress bar that has ended."""
    if output.output_type == "stream":
        return Block("printed", tag, output.text.strip("\n"))
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return Block("figure", tag, for_page(data["image/svg+xml"]))
    if "text/markdown" in data:
        return Block("prose", tag, markdown.render(data["text/markdown"]))
    if "text/html" in data:
        return Block("table", tag, data["text/html"])
    return Block("printed", tag, data["text/plain"]) if data.get("text/plain") else None
