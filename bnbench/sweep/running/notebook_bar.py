"""A progress bar in a notebook: one output that is drawn again in its place, without widgets.

Why not tqdm's: its bar of widgets needs another package, and a page made of the notebook shows nothing of it; its bar
of text leaves every state that it had in the notebook, line by line.
"""

from __future__ import annotations

import sys
from html import escape
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


class NotebookBar:
    """A bar under the cell that is running."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle = display(_bundle(0.0, ""), raw=True, display_id=True)

    def show(self, fraction: float, line: str) -> None:
        """Draw it again.

        Args:
            fraction: The share that is done, in [0, 1].
            line: What stands beside it.
        """
        self._handle.update(_bundle(fraction, line), raw=True)


def _bundle(fraction: float, line: str) -> dict[str, str]:
    from tqdm import tqdm

    text = tqdm.format_meter(round(100 * fraction), 100, 0, ncols=30, bar_format="{percentage:3.0f}% |{bar}|")
    bar = f'<progress value="{fraction:.3f}" max="1" style="width: 16em; vertical-align: middle"></progress>'
    return {"text/plain": f"{text} {line}", "text/html": f"<div>{bar} {escape(line)}</div>"}
