r"""The report's tables as LaTeX: a file that a paper can `\input`, and that also compiles by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bnbench.report.contents import Contents
from bnbench.report.table import Cell, Column, Table

_MOST_ROWS = 40  # a longer table does not fit a page and is broken over several
_LONG = 24  # a longer text in the last column, in characters, does not fit on one line

# The file makes its own document unless it is inside one, where LaTeX has given `\documentclass` another meaning.
_HEAD = r"""% {title}
% In a paper: \usepackage{{booktabs,longtable}} in its preamble, then \input{{report}} where the tables go.
\makeatletter
\ifx\documentclass\@twoclasseserror\def\bnbenchend{{}}\else
  \documentclass{{article}}\usepackage{{booktabs,longtable}}\usepackage[margin=2cm]{{geometry}}
  \begin{{document}}\def\bnbenchend{{\end{{document}}}}
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
    """The headlines and every table of the report, with booktabs; an estimate and its interval stand in one cell."""
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
    return latex_tables(tables, "\n".join(filter(None, lines)), contents.sweep, opening)


def latex_tables(tables: Mapping[str, Table], title: str, label: str, opening: str = "") -> str:
    """A file of tables, each labelled `tab:<label>-<its name>`, under a comment that holds every line of the title.

    The opening, in LaTeX, stands before the tables where the file is a document by itself.
    """
    floats = [_float(one, f"tab:{label}-{part}") + "\n" for part, one in tables.items()]
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
