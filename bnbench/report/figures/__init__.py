"""The report's figures: small charts of one setting each, in which a colour stands for a level.

matplotlib is imported when they are drawn.
"""

from dataclasses import replace

from bnbench.analysis import Analysis
from bnbench.report.figures import along_axis, by_layer, measured, reaching
from bnbench.report.figures import validation_curves as convergence
from bnbench.report.figures.named import FOLDER, chart_files, named_panels
from bnbench.report.figures.panels import Figure, Panel, PanelRow, level_index

__all__ = [
    "FOLDER",
    "Figure",
    "Panel",
    "PanelRow",
    "chart_files",
    "draw_figures",
    "level_index",
    "named_panels",
]


def draw_figures(analysis: Analysis) -> list[Figure]:
    """Every figure that the sweep has data for."""
    drawn = (
        convergence.draw(analysis),
        *along_axis.draw(analysis),
        reaching.draw(analysis),
        by_layer.draw(analysis),
        *measured.draw(analysis),
    )
    return [_side_by_side(figure) for figure in drawn if figure.rows]


def _side_by_side(figure: Figure) -> Figure:
    """The figure with all subjects in one row if each has a single chart; else unchanged."""
    if any(len(row.panels) > 1 for row in figure.rows):
        return figure
    panels = tuple(
        replace(row.panels[0], title=", ".join(filter(None, [row.title, row.panels[0].title]))) for row in figure.rows
    )
    return Figure(figure.title, figure.caption, (PanelRow("", panels),))
