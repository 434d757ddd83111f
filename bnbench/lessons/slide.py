"""A lesson's figure, of the size and with the letters of a slide, as PNG and as SVG."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from bnbench.report.figures.palette import in_page_colours, palette
from bnbench.report.figures.svg import render, svg_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 960, 540  # in points: 16 by 9
_LETTERS = 15  # in points
_PNG_DOTS = 144  # an inch, so 1,920 by 1,080
_LEVELS = {"none": 0, "batch": 1, "before": 1, "after": 2, "layer": 3}


class Slide:
    """A figure for a lesson, in the colours of the reports; a notebook shows it where it ends a cell.

    Args:
        title: Above the charts; it says what is shown, not what came out.
        x: The label of the horizontal axis, with its unit.
        y: The label of the vertical one.
        panels: The charts' own titles, one for each chart side by side.

    Attributes:
        axes: matplotlib's, one for each chart.
        alt: What the figure shows, with its numbers, for those who do not see it. A slide without one is refused.
    """

    def __init__(self, title: str, *, x: str = "", y: str = "", panels: tuple[str, ...] = ("",)) -> None:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        self.alt = ""
        with rc_context(_style()):
            layout = ConstrainedLayoutEngine(w_pad=14 / 72, h_pad=12 / 72, wspace=0.04)
            self._figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), layout=layout)
            self._figure.suptitle(title, x=0.02, ha="left", fontsize=23, fontweight="bold")
            charts = self._figure.subplots(1, len(panels), sharey=True, squeeze=False)
        self.axes: list[Axes] = [*charts[0]]
        for axes, panel in zip(self.axes, panels, strict=True):
            axes.set_title(panel, loc="left", color=palette()["muted"], pad=10)
            axes.set_xlabel(x)
        self.axes[0].set_ylabel(y)

    def legend(self, **where: Any) -> None:
        """Name the lines, in the last chart unless told where."""
        self.axes[-1].legend(**{"frameon": False, "fontsize": _LETTERS, "labelcolor": palette()["ink"], **where})

    @property
    def svg(self) -> str:
        """The figure as an SVG file, white behind."""
        if not self.alt:
            raise ValueError("the slide has no alt: say what it shows, with its numbers")
        return svg_file(render(self._figure, self.alt))

    @property
    def png(self) -> bytes:
        """The figure as a PNG file of 1,920 by 1,080 dots, white behind."""
        from matplotlib import rc_context

        buffer = io.BytesIO()
        with rc_context(_style()):
            self._figure.savefig(buffer, format="png", dpi=_PNG_DOTS, facecolor=palette()["paper"])
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": self.alt, "image/svg+xml": self.svg, "image/png": self.png}

    def __repr__(self) -> str:
        return self.alt


def colour(level: str | int) -> str:
    """The reports' colour of a level: `none`, `batch`, `before`, `after`, `layer`, or a number from 0, grey, to 6."""
    return palette()[f"level-{_LEVELS[level] if isinstance(level, str) else level}"]


def for_page(svg: str) -> str:
    """A slide's SVG for the body of a page, which colours it by its light or dark style."""
    svg = re.sub(r' xmlns="[^"]*"| style="background[^"]*"|<style>.*?</style>', "", svg)
    return in_page_colours(svg)


def _style() -> dict[Any, Any]:
    ink, muted, rule = (palette()[name] for name in ("ink", "muted", "rule"))
    return {
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "font.size": _LETTERS,
        "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
        "axes.titlesize": _LETTERS,
        "axes.labelsize": _LETTERS,
        "axes.edgecolor": muted,
        "axes.labelcolor": muted,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": rule,
        "grid.linewidth": 0.8,
        "text.color": ink,
        "xtick.color": muted,
        "ytick.color": muted,
        "lines.linewidth": 2.6,
        "lines.markersize": 8,
        "lines.solid_capstyle": "round",
    }
