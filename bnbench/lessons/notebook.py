"""A lesson as a notebook, executed in a kernel of this interpreter."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench.config import ConfigError
from bnbench.lessons.source import Lesson

if TYPE_CHECKING:
    from nbformat import NotebookNode

_NEEDED = ("nbformat", "nbclient", "ipykernel", "markdown_it")
_CELL_SECONDS = 900  # a cell that takes longer hangs
_WITHOUT_WIDGETS = "ignore:IProgress not found"  # tqdm wishes for widgets, which a page cannot show
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")


class LessonFailedError(ConfigError):
    """A cell of a lesson failed; the notebook as far as it came is in `notebook`."""

    def __init__(self, message: str, notebook: NotebookNode) -> None:
        super().__init__(message)
        self.notebook = notebook


def check_installed() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        ConfigError: If one is not installed.
    """
    missing = [package.replace("_", "-") for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"lesson needs {', '.join(missing)}, not installed here; run: python -m pip install 'bnbench[lesson]'"
        )


def as_notebook(lesson: Lesson) -> NotebookNode:
    """The lesson as a notebook that was not executed: the same bytes each time."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = []
    for place, cell in enumerate(lesson.cells):
        new: Callable[..., NotebookNode] = new_markdown_cell if cell.prose else new_code_cell
        metadata = {"tags": [cell.tag]} if cell.tag else {}
        cells.append(new(cell.text, id=f"{lesson.name}-{place}".replace("_", "-"), metadata=metadata))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook: NotebookNode = new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    return notebook


def execute(lesson: Lesson, folder: Path) -> tuple[NotebookNode, float]:
    """Run every cell.

    Args:
        lesson: The lesson.
        folder: The folder in which its cells run, and under which they record their trials.

    Returns:
        The notebook with its outputs, and the seconds that it took.

    Raises:
        LessonFailedError: If a cell fails.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = as_notebook(lesson)
    # No folder of kernels: one that a user has installed under this name may be another interpreter's.
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=_CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    began = time.monotonic()
    try:
        client.execute(env={**os.environ, "PYTHONWARNINGS": _WITHOUT_WIDGETS})
    except CellExecutionError as error:
        raise LessonFailedError(
            f"lesson {lesson.name} failed: {error.ename}: {_one_line(error.evalue)}", notebook
        ) from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise LessonFailedError(f"lesson {lesson.name} failed: {_one_line(str(error))}", notebook) from error
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each message came
    return notebook, time.monotonic() - began


def outputs(notebook: NotebookNode) -> list[dict[str, Any]]:
    """Everything that the cells put out, in order."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(notebook: NotebookNode, mime: str) -> list[str]:
    """What the cells showed of one kind, such as "image/svg+xml"; of PNG files their base64."""
    return [output["data"][mime] for output in outputs(notebook) if mime in output.get("data", {})]


def _one_line(text: str) -> str:
    return " ".join(_COLOUR_CODES.sub("", text).split())
