r"""The report's tables and charts as LaTeX: a file that a paper can `\input`, and that also compiles by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bnbench.report.contents import Contents
from bnbench.report.figures import FOLDER, Figure, Panel, PanelRow, level_index, named_panels
from bnbench.report.figures.palette import level_colour
from bnbench.report.table import Cell, Column, Table

_MOST_ROWS = 40  # a longer table does not fit a page and is broken over several
_IN_A_ROW = 3  # charts side by side
_LONG = 24  # a longer text in the last column, in characters, does not fit on one line

# The file makes its own document unless it is inside one, where LaTeX has given `\documentclass` another meaning.
_HEAD = r"""% {title}
% In a paper: \usepackage{{booktabs,longtable,graphicx,color}} in its preamble, then \input{{report}} where they go;
% from another folder also \graphicspath{{{{FOLDER/}}}}, with the slash, for the charts.
\makeatletter
\ifx\documentclass\@twoclasseserror\def\bnbenchend{{}}\def\bnbenchpage{{}}\else
  \documentclass{{article}}\usepackage{{booktabs,longtable,graphicx,color}}\usepackage[margin=2cm]{{geometry}}
  \begin{{document}}\def\bnbenchend{{\end{{document}}}}\let\bnbenchpage\clearpage
{opening}\fi
\makeatother
"""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}


def to_latex(contents: Contents) -> str:
    """The headlines, every table of the report, with booktabs, and its charts, which lie in files beside it.

    An estimate and its interval stand in one cell.
    """
    tables = {part: one for part, one in (("main", contents.main), ("differences", contents.forest)) if one is not None}
    if contents.robustness is not None:
        tables["robustness"] = contents.robustness.summary
    for number, (subject, group) in enumerate(contents.numbers, 1):
        titled = [Table(f"{subject}: {one.title}" if subject else one.title, one.columns, one.rows) for one in group]
        tables |= {f"{number}-{i}": one for i, one in enumerate(titled, 1)}
    lines = [
        contents.unfinished,
        *map(str, contents.headlines),
        contents.title,
        f"bnbench sweep {contents.sweep}, {contents.created}.",
    ]
    opening = "".join(f"  \\noindent\\textbf{{{_escape(str(headline))}}}\\par\n" for headline in contents.headlines)
    return latex_tables(tables, "\n".join(filter(None, lines)), contents.sweep, opening, [*_charts(contents)])


def latex_tables(
    tables: Mapping[str, Table], title: str, label: str, opening: str = "", charts: Sequence[str] = ()
) -> str:
    """A file of tables, each labelled `tab:<label>-<its name>`, under a comment that holds every line of the title.

    The opening, in LaTeX, stands before the tables where the file is a document by itself; the charts follow them.
    """
    floats = [_float(one, f"tab:{label}-{part}") + "\n" for part, one in tables.items()] + [*charts]
    return "\n".join([_HEAD.format(title="\n% ".join(title.splitlines()), opening=opening), *floats, "\\bnbenchend\n"])


def _float(table: Table, label: str) -> str:
    columns, rows = _merged(table)
    kinds = "".join("r" if column.numeric else "l" for column in columns)
    if not columns[-1].numeric and any(len(row[-1]) > _LONG for row in rows):
        kinds = f"{kinds[:-1]}p{{3.2cm}}"  # a column whose text is wrapped
    caption = f"\\caption{{{_escape(table.title)}.}}\\label{{{label}}}"
    head = "\n".join(_head(columns))
    body = "\n".join(_body(table, rows))
    if len(rows) > _MOST_ROWS:
        return (
            f"{{\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n\\begin{{longtable}}{{@{{}}{kinds}@{{}}}}\n"
            f"{caption}\\\\\n{head}\n\\endhead\n\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}}}"
        )
    return (
        f"\\begin{{table}}[htbp]\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n{caption}\n"
        f"\\begin{{tabular}}{{@{{}}{kinds}@{{}}}}\n{head}\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}"
    )


def _charts(contents: Contents) -> Iterator[str]:
    """A float for each row of charts, labelled `fig:<sweep>-<number>`."""
    names = {id(panel): name for name, panel in named_panels(contents.figures)}
    colours = level_index(contents.analysis)
    legend = r"\quad ".join(_dot(colours[level]) + _escape(level) for level in contents.analysis.levels)
    number = 0
    for figure in contents.figures:
        yield "\\bnbenchpage"  # LaTeX holds only so many floats back
        for row in figure.rows:
            number += 1
            label = f"fig:{contents.sweep}-{number}"
            yield _chart_float(figure, row, [names[id(panel)] for panel in row.panels], legend, label) + "\n"


def _chart_float(figure: Figure, row: PanelRow, names: Sequence[str], legend: str, label: str) -> str:
    panels = [_panel(panel, name) for panel, name in zip(row.panels, names, strict=True)]
    rows = ["\\hfill\n".join(panels[i : i + _IN_A_ROW]) for i in range(0, len(panels), _IN_A_ROW)]
    charts = "\\par\\medskip\n".join(rows)
    title = _escape(": ".join(filter(None, [figure.title, row.title])))
    caption = f"\\caption[{title}]{{{title}. {_escape(figure.caption)} {legend}}}\\label{{{label}}}"
    return f"\\begin{{figure}}[htbp]\\footnotesize\n{charts}\n{caption}\n\\end{{figure}}"


def _panel(panel: Panel, name: str) -> str:
    title = f"{_escape(panel.title)}\\\\\n" if panel.title else ""
    picture = f"\\includegraphics[width=\\linewidth]{{{FOLDER}/{name}.pdf}}"
    return f"\\begin{{minipage}}[b]{{0.32\\linewidth}}\\raggedright\n{title}{picture}\n\\end{{minipage}}"


def _dot(colour: int) -> str:
    red, green, blue = (int(level_colour(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return f"\\textcolor[rgb]{{{red:.3f},{green:.3f},{blue:.3f}}}{{$\\bullet$}}~"


def _head(columns: list[Column]) -> Iterator[str]:
    yield "\\toprule"
    groups = Table("", tuple(columns), ()).groups
    if groups:
        yield " & ".join(f"\\multicolumn{{{n}}}{{c}}{{{_escape(title)}}}" for title, n in groups) + " \\\\"
        first = 1
        for title, n in groups:
            if title:
                yield f"\\cmidrule(lr){{{first}-{first + n - 1}}}"
            first += n
    yield " & ".join(_escape(column.title) for column in columns) + " \\\\"
    yield "\\midrule"


def _body(table: Table, rows: list[list[str]]) -> Iterator[str]:
    for i, (row, cells) in enumerate(zip(table.rows, rows, strict=True)):
        if i and table.is_grouped and row.repeats == 0:
            yield "\\addlinespace"
        yield " & ".join([*[""] * row.repeats, *cells[row.repeats :]]) + " \\\\"


def _merged(table: Table) -> tuple[list[Column], list[list[str]]]:
    """The table's columns and cells as LaTeX, each interval merged into its estimate's cell."""
    rows = []
    for row in table.rows:
        cells: list[str] = []
        for column, cell, before in zip(table.columns, row.cells, (Cell(""), *row.cells), strict=False):
            if column.bounds:
                cells[-1] += _bounds(before, cell)
            else:
                cells.append(_escape(cell.text))
        rows.append(cells)
    return [column for column in table.columns if not column.bounds], rows


def _bounds(estimate: Cell, interval: Cell) -> str:
    """± half the width of an interval that is symmetric about its estimate; else its ends, or why there is none."""
    if interval.bounds is None or estimate.order is None:
        return f" ({_escape(interval.text)})" if interval.text else ""
    below, above = (f"{abs(end - estimate.order):.2f}" for end in interval.bounds)
    return f" $\\pm$ {below}" if below == above else f" ({_escape(interval.text)})"


def _escape(text: str) -> str:
    """The text escaped for LaTeX; a character that its fonts may lack is replaced by its code point."""
    return "".join(_SPECIAL.get(c, c if ord(c) < 256 else f"[U+{ord(c):04X}]") for c in text)
