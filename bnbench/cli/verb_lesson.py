"""`python -m bnbench lesson`: a lesson for a class, run there and then."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError
from bnbench.config.nearest import did_you_mean

if TYPE_CHECKING:
    from nbformat import NotebookNode


def main(words: Sequence[str]) -> None:
    """Run the lesson that is named, or print a line for each."""
    from bnbench.lessons.source import lesson_names, read_lesson

    parser = VerbParser("lesson", names="[NAME]", keys=())
    parser.add_argument("--folder", metavar="FOLDER", type=Path, default=Path("lessons"), help="where it is written")
    request = parser.read(words)
    names = lesson_names()
    if not request.names:
        for lesson in map(read_lesson, names):
            print(f"  {lesson.name:<15}  {lesson.seconds:>2} s  {lesson.question}")
        return
    [name] = request.names
    if name not in names:
        raise ConfigError(f"lesson {name} is unknown; allowed: {', '.join(names)}{did_you_mean(name, names)}")
    _run(name, request.options.folder.expanduser())


def _run(name: str, folder: Path) -> None:
    """Execute a lesson and write its notebook, its page and its figures into a folder."""
    from bnbench.lessons.notebook import LessonFailedError, check_installed, execute, shown
    from bnbench.lessons.source import read_lesson

    check_installed()
    from bnbench.lessons.page import as_page

    lesson = read_lesson(name)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{lesson.title}: about {lesson.seconds} s on two cores\n{lesson.question}", flush=True)
    notebook_file = folder / f"{name}.ipynb"
    try:
        notebook, seconds = execute(lesson, folder)
    except LessonFailedError as error:
        _write_notebook(error.notebook, notebook_file)
        error.add_note(f"{notebook_file} has the cell that failed")
        raise
    _write_notebook(notebook, notebook_file)
    page = folder / f"{name}.html"
    page.write_text(as_page(lesson, notebook, seconds), encoding="utf-8")
    drawn = zip(shown(notebook, "image/svg+xml"), shown(notebook, "image/png"), strict=True)
    figures = []
    for place, (svg, png) in enumerate(drawn, 1):
        (folder / f"{name}-{place}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}-{place}.png").write_bytes(b64decode(png))
        figures.append(f"{folder / name}-{place}")
    print(f"page: {page}\nnotebook: {notebook_file}")
    print(f"figures, each as .png and .svg: {', '.join(figures)}\ndone in {seconds:.0f} s")


def _write_notebook(notebook: NotebookNode, file: Path) -> None:
    import nbformat

    nbformat.write(notebook, file)
