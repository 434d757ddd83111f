"""The names of the files that a report's charts become, from what they show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from bnbench.report.figures.panels import Figure, Panel

FOLDER = "figures"
"""Where they lie, beside the report."""

_LONGEST = 100  # of a name, in characters


def named_panels(figures: Sequence[Figure]) -> Iterator[tuple[str, Panel]]:
    """Each chart of the report, in its order, with a name that no other has: small letters, digits, `-` and `_`.

    A dot is written as `_`: LaTeX takes what follows the first dot of a picture's name for its kind.
    """
    taken: set[str] = set()
    for figure in figures:
        for row in figure.rows:
            for panel in row.panels:
                stem = name = _plain(" ".join(filter(None, [figure.title, row.title, panel.title])))
                number = 1
                while name in taken:
                    number += 1
                    name = f"{stem}-{number}"
                taken.add(name)
                yield name, panel


def chart_files(figures: Sequence[Figure], *kinds: str) -> dict[str, bytes]:
    """The charts as files of these kinds ("svg", "png", "pdf"), by their path from the report's folder."""
    return {f"{FOLDER}/{name}.{kind}": panel.file(kind) for name, panel in named_panels(figures) for kind in kinds}


def _plain(words: str) -> str:
    """
    >>> _plain("Test accuracy, % against learning rate 0.1")
    'test-accuracy-against-learning-rate-0_1'
    """
    text = unicodedata.normalize("NFKD", words.replace("\N{MINUS SIGN}", "-")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", text.lower().replace(".", "_")).strip("-")[:_LONGEST].rstrip("-")
