"""A small chart as inline SVG, coloured by the page's light or dark style; the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders that `render` turns into the page's CSS variables: matplotlib takes no variable as a colour.
INK, MUTED, RULE = "#010101", "#010102", "#010103"

LEVEL_COLOURS = 7
"""How many colours the page has for levels: grey for "none", and six that the colour-blind can tell apart."""

# Replacements: drop what only a separate SVG file needs, then turn placeholders into the page's colours.
_ADAPT = (
    (r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", ""),
    (r'<g id="[^"]*"/>', ""),
    (r'<g id="[^"]*">', "<g>"),
    (r" font-family: [^;\"]*;", ""),
    (r"xlink:href", "href"),
    (r"\n\s*", "\n"),
    (INK, "var(--ink)"),
    (MUTED, "var(--muted)"),
    (RULE, "var(--rule)"),
)

WIDE, NARROW = 320.0, 236.0
"""Widths of charts of which three (wide) or four (narrow) fit side by side on a desktop screen."""

_GAP = 2.0
"""Points between a tick's label and the edge, as the page's own font may be a little wider."""

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.hashsalt": "bnbench",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


def level_colour(index: int) -> str:
    """The placeholder for the page's `--level-<index>`, index below `LEVEL_COLOURS`."""
    return f"#0201{index:02x}"


def draw_chart(x_label: str, *, width: float) -> tuple[Figure, Axes]:
    """An empty chart in the report's style.

    Args:
        x_label: The label below the horizontal axis.
        width: Width in points; about the number of pixels that the page gives the chart, or its text changes in size.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    height = 0.35 * width + 80
    left, right, top, bottom = 34, 6, 8, 34
    with rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))
        axes.set_xlabel(x_label, labelpad=2)
        return figure, axes


def render(figure: Figure, alt: str) -> str:
    """The chart as an `<svg>` element for the body of a page.

    Args:
        figure: From `draw_chart`.
        alt: What the chart shows, for those who do not see it.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(_STYLE):
        _make_room(figure)
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = buffer.getvalue()
    box = re.search(r'viewBox="([^"]+)"', svg)
    if box is None:
        raise ValueError("the SVG has no viewBox")
    body = svg[svg.index(">", box.end()) + 1 :]
    for pattern, replacement in _ADAPT:
        body = re.sub(pattern, replacement, body, flags=re.DOTALL)
    # Ids must be unique on the page: they get a prefix from a hash of what the chart shows.
    prefix = "c" + hashlib.sha256((alt + body).encode()).hexdigest()[:8]
    body = re.sub(r'\bid="|url\(#|\bhref="#', lambda reference: f"{reference[0]}{prefix}-", body)
    body = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), body)
    body = re.sub(r"#0201([0-9a-f]{2})", lambda level: f"var(--level-{int(level[1], 16)})", body)
    label = escape(alt, {'"': "&quot;"})
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">{body.rstrip()}'


def _make_room(figure: Figure) -> None:
    """Move the edges of the axes inwards by as much as their tick labels would be cut off."""
    width, height = figure.bbox.width, figure.bbox.height
    for axes in figure.axes:
        taken, place = axes.get_tightbbox(), axes.get_position()
        if taken is None:
            continue
        left, bottom = (max(0.0, _GAP - end) for end in (taken.x0, taken.y0))
        right, top = (max(0.0, end + _GAP) for end in (taken.x1 - width, taken.y1 - height))
        axes.set_position(
            (
                place.x0 + left / width,
                place.y0 + bottom / height,
                place.width - (left + right) / width,
                place.height - (bottom + top) / height,
            )
        )
