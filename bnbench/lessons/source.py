"""A lesson's source: a Python file in the percent format, read as cells."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "sources"
_MARK = re.compile(r"# %%(?P<prose> \[markdown\])?(?: tags=\[\"(?P<tag>\w+)\"\])?(?: seconds=(?P<seconds>\d+))?")

TAGS = ("title", "question", "answer", "sources")
"""What a lesson has one cell of each of, in this order; its other cells have no tag."""


@dataclass(frozen=True)
class SourceCell:
    """One cell.

    Attributes:
        prose: Whether it is Markdown; else it is Python.
        tag: One of `TAGS`; empty for any other cell.
        text: What it says, without the comment signs of prose.
    """

    prose: bool
    tag: str
    text: str


@dataclass(frozen=True)
class Lesson:
    """A lesson as it is written, before anything is run.

    Attributes:
        name: What the command line calls it.
        seconds: How long it takes on two cores, from start to page.
        cells: In order.
    """

    name: str
    seconds: int
    cells: tuple[SourceCell, ...]

    @cached_property
    def title(self) -> str:
        """Its title."""
        return self.tagged("title").partition("\n")[0].removeprefix("# ")

    @cached_property
    def question(self) -> str:
        """The question to ask a class before it, in one line."""
        return " ".join(self.tagged("question").partition("\n\n")[0].split())

    def tagged(self, tag: str) -> str:
        """The text of the cell that has a tag."""
        return next(cell.text for cell in self.cells if cell.tag == tag)


def lesson_names() -> list[str]:
    """The lessons there are, in alphabetical order."""
    return sorted(file.stem for file in _FOLDER.glob("*.py"))


def read_lesson(name: str) -> Lesson:
    """One of `lesson_names`."""
    return parse(name, (_FOLDER / f"{name}.py").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Lesson:
    r"""A lesson's source as its cells.

    A cell begins with a line `# %%`, prose with `# %% [markdown]`; `tags=["question"]` after it says what the cell is
    to the lesson, and `seconds=20`, in the title's, how long the lesson takes. Editors and jupytext read the same.

    Raises:
        ValueError: If a line that begins a cell is not understood, or the lesson lacks one of `TAGS`, has it twice or
            in another place.

    Example:
        >>> cells = '# %% [markdown] tags=["title"] seconds=5\n# # Sums\n'
        >>> cells += '# %% [markdown] tags=["question"]\n# How many?\n'
        >>> cells += '# %% tags=["answer"]\n1 + 1\n# %% [markdown] tags=["sources"]\n# Euclid.\n'
        >>> lesson = parse("sums", cells)
        >>> lesson.title, lesson.question, lesson.seconds, lesson.tagged("answer")
        ('Sums', 'How many?', 5, '1 + 1')
    """
    cells: list[SourceCell] = []
    seconds = 0
    before, *parts = re.split(r"^(?=# %%)", text, flags=re.MULTILINE)
    if before.strip():
        raise ValueError(f"lesson {name} has text before its first cell: {before.strip().splitlines()[0]}")
    for part in parts:
        head, _, body = part.partition("\n")
        mark = _MARK.fullmatch(head.rstrip())
        if mark is None:
            raise ValueError(f"lesson {name} has a cell that begins with {head!r}, which is not understood")
        prose = mark["prose"] is not None
        if prose:
            body = textwrap.dedent("\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines()))
        seconds = int(mark["seconds"] or seconds)
        cells.append(SourceCell(prose, mark["tag"] or "", body.strip("\n")))
    tags = tuple(cell.tag for cell in cells if cell.tag)
    if tags != TAGS:
        raise ValueError(f"lesson {name} has cells tagged {', '.join(tags)}; it must be {', '.join(TAGS)}")
    if not seconds:
        raise ValueError(f"lesson {name} does not say how many seconds it takes")
    return Lesson(name, seconds, tuple(cells))
