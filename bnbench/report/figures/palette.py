"""The reports' colours in the light, of which charts are drawn; a page turns them into its style's variables."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_STYLESHEET = Path(__file__).resolve().parent.parent / "templates" / "page.css"

LEVEL_COLOURS = 7
"""How many colours there are for levels: grey for "none", and six that the colour-blind can tell apart."""


@cache
def palette() -> dict[str, str]:
    """The colours by name, from the pages' stylesheet; no two are the same."""
    light, _, _ = _STYLESHEET.read_text(encoding="utf-8").partition("@media")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))


def level_colour(index: int) -> str:
    """The colour of the level with this index, below `LEVEL_COLOURS`."""
    return palette()[f"level-{index}"]


def in_page_colours(svg: str) -> str:
    """The SVG with each colour replaced by the page's variable of its name, which a dark style sets anew."""
    for name, value in palette().items():
        svg = svg.replace(value, f"var(--{name})")
    return svg


def in_own_colours(svg: str) -> str:
    """The SVG with each of the page's variables replaced by its colour in the light."""
    return re.sub(r"var\(--([\w-]+)\)", lambda variable: palette()[variable[1]], svg)
