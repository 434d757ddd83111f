"""A small chart as inline SVG, coloured by the page's light or dark style, or as a file; the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from bnbench.report.figures.palette import in_own_colours, in_page_colours, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = (palette()[name] for name in ("ink", "muted", "rule"))

# Replacements: drop what only a separate SVG file needs.
_ADAPT = (
    (r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", ""),
    (r'<g id="[^"]*"/>', ""),
    (r'<g id="[^"]*">', "<g>"),
    (r" font-family: [^;\"]*;", ""),
    (r"xlink:href", "href"),
    (r"\n\s*", "\n"),
)

WIDE, NARROW = 320.0, 236.0
"""Widths of charts of which three (wide) or four (narrow) fit side by side on a desktop screen."""

_PNG_DOTS = 200  # an inch

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
    body = in_page_colours(body)
    label = escape(alt, {'"': "&quot;"})
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">{body.rstrip()}'


def svg_file(svg: str) -> str:
    """A chart from `render` as an SVG file: in the colours of the light, white behind."""
    ink, paper = palette()["ink"], palette()["paper"]
    style = f"<style>text {{ font-family: 'Helvetica Neue', Arial, sans-serif; fill: {ink} }}</style>"
    head, _, rest = in_own_colours(svg).partition(" ")[2].partition(">")
    return f'<svg xmlns="http://www.w3.org/2000/svg" style="background: {paper}" {head}>{style}{rest}\n'


def image_file(figure: Figure, kind: str) -> bytes:
    """A chart that `render` has drawn as a file of its own, white behind; the same bytes each time.

    Args:
        figure: From `draw_chart`, after `render`, which makes room for its labels.
        kind: "png" or "pdf".
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # zlib's first level takes a third of the time of the usual one, for files a quarter larger.
    how: dict[str, Any] = (
        {"dpi": _PNG_DOTS, "pil_kwargs": {"compress_level": 1}}
        if kind == "png"
        else {"metadata": {"CreationDate": None}}
    )
    with rc_context(_STYLE):
        figure.savefig(buffer, format=kind, facecolor=palette()["paper"], **how)
    return buffer.getvalue()


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
