"""The report as one self-contained page, which loads no script, font or image from anywhere else."""

from __future__ import annotations

from typing import Any

from bnbench.report.contents import Contents
from bnbench.report.figures import level_index
from bnbench.report.figures.answer import draw_answers
from bnbench.report.figures.forest import draw_axis, draw_bar


def to_html(contents: Contents) -> str:
    """The whole report as HTML, figures included."""
    return render_page(
        "report.html",
        contents=contents,
        answers=draw_answers(contents.analysis, contents.choices),
        figures=contents.figures,
        colours=level_index(contents.analysis),
        levels=contents.analysis.levels,
    )


def render_page(template: str, **values: Any) -> str:
    """A page from one of the templates, with its style and its script inside."""
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
    style, script = (Markup(environment.get_template(name).render()) for name in ("page.css", "sort.js"))
    draw = {"draw_axis": draw_axis, "draw_bar": draw_bar}
    return environment.get_template(template).render(style=style, script=script, markup=Markup, **draw, **values)


def _keep_units(text: str) -> str:
    """The text with each number kept on one line with its unit."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" pp", "\N{NO-BREAK SPACE}pp")
