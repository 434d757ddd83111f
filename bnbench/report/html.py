"""The report as one self-contained page: no script, no font, no image from anywhere else."""

from __future__ import annotations

from typing import Any

from bnbench.analysis import SweepTable, levels
from bnbench.report.cautions import cautions
from bnbench.report.conclusion import conclude, setup_sentence
from bnbench.report.figures import draw_figures, level_index
from bnbench.report.provenance import created, facts
from bnbench.report.subjects import subjects
from bnbench.report.tables import subject_tables

__all__ = ["to_html"]


def to_html(table: SweepTable) -> str:
    """The whole report as HTML, figures included."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("bnbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["units"] = _keep_units
    style = environment.get_template("report.css").render()
    values: dict[str, Any] = {
        "meta": table.meta,
        "created": created(table),
        "style": Markup(style),
        "setup": setup_sentence(table),
        "findings": conclude(table),
        "sections": [(subject.title, subject_tables(table, subject)) for subject in subjects(table)],
        "figures": draw_figures(table),
        "markup": Markup,
        "colours": level_index(table),
        "levels": levels(table),
        "cautions": cautions(table),
        "facts": facts(table),
    }
    return environment.get_template("report.html").render(values)


def _keep_units(text: str) -> str:
    """The text with its numbers and their units on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" pp", "\N{NO-BREAK SPACE}pp")
