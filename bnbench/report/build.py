"""A sweep's report on disk: the page, its Markdown, its LaTeX tables, the data behind it and how it was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from bnbench.analysis import SweepTable
from bnbench.config import ConfigError
from bnbench.record.columns import STATE, metric_columns
from bnbench.record.whole_file import replace_file
from bnbench.report.contents import Contents
from bnbench.report.figures import chart_files
from bnbench.report.html import render_page, to_html
from bnbench.report.latex import latex_tables, to_latex
from bnbench.report.manifest import manifest
from bnbench.report.markdown import to_markdown
from bnbench.report.robustness_section import choice_row
from bnbench.report.two_sweeps_page import Comparison, compare_sweeps, comparison_markdown, settings_data

_BUDGET = "training.steps"


FORMATS = ("html", "md", "tex", "csv", "figures")
"""The formats in which a report can be written; `manifest.json`, how it was made, is written with any of them."""

COMPARISON_FORMATS = FORMATS[:-1]
"""Those of a comparison of two sweeps, which has no charts."""


def write_report(contents: Contents, folder: Path, formats: Sequence[str] = FORMATS) -> dict[str, Path]:
    """Write a sweep's report; the same contents give the same bytes.

    Each file is replaced as a whole, so a reader never meets half of one.

    Args:
        contents: What the report says.
        folder: Where the files go; made if absent.
        formats: Some of `FORMATS`.

    Returns:
        The paths by file name: report.html, report.md and report.tex with the charts that it includes,
        figures/NAME.pdf; for `csv` trials.csv and the same rows as trials.parquet, curves.csv, arms.csv,
        differences.csv and robustness.csv; for `figures` each chart as .svg, .png and .pdf; and always manifest.json.

    Raises:
        ConfigError: If the sweep has no trial, or a format is unknown; before anything is written.
    """
    _check(formats, FORMATS, contents.table)
    written: dict[str, str | bytes] = {}
    for kind in FORMATS:
        if kind in formats and kind in _WRITERS:
            written |= _WRITERS[kind](contents)
    charts = dict.fromkeys(chart for kind in formats for chart in _CHARTS.get(kind, ()))
    if charts:
        written |= chart_files(contents.figures, *charts)
    written["manifest.json"] = json.dumps(manifest(contents.table), indent=2, allow_nan=False) + "\n"
    return _write(folder, written)


def write_live_report(table: SweepTable, folder: Path) -> None:
    """Write the page of a sweep that is being trained, which reloads itself; nothing while no trial has a result."""
    if len(table.trained):
        _write(folder, {"report.html": to_html(Contents(table, as_of=datetime.now(UTC)))})


def write_comparison(
    a: SweepTable, b: SweepTable, folder: Path, formats: Sequence[str] = COMPARISON_FORMATS
) -> tuple[Comparison, dict[str, Path]]:
    """Write how two sweeps compare, as `against-<second sweep>` in the formats asked for.

    Args:
        a: The first sweep.
        b: The second sweep, of the same store or another.
        folder: Where the files go; made if absent.
        formats: Some of `COMPARISON_FORMATS`.

    Returns:
        The comparison, and the paths by file name.

    Raises:
        ConfigError: If either sweep has no trial, or a format is unknown; before anything is written.
    """
    _check(formats, COMPARISON_FORMATS, a, b)
    comparison = compare_sweeps(a, b)
    texts = {
        "html": lambda: render_page("against.html", comparison=comparison),
        "md": lambda: comparison_markdown(comparison),
        "tex": lambda: latex_tables(
            {str(i): one for i, one in enumerate(comparison.tables, 1)}, comparison.title, comparison.file
        ),
        "csv": lambda: _csv(settings_data(a, b)),
    }
    return comparison, _write(
        folder, {f"{comparison.file}.{kind}": texts[kind]() for kind in COMPARISON_FORMATS if kind in formats}
    )


def _check(formats: Sequence[str], allowed: Sequence[str], *tables: SweepTable) -> None:
    for kind in formats:
        if kind not in allowed:
            raise ConfigError(f"format {kind} is unknown; allowed: {', '.join(allowed)}, several with commas")
    for table in tables:
        if table.trials.empty:
            raise ConfigError(f"sweep {table.record.title} has no trial: there is nothing to report")


def _write(folder: Path, files: Mapping[str, str | bytes]) -> dict[str, Path]:
    for place in {(folder / name).parent for name in files}:
        place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_file(folder / name, content)
    return {name: folder / name for name in files}


def trials_csv(table: SweepTable) -> str:
    """One row a trial: how it ended, every varied param, its budget, and its final metrics to the last bit.

    The steps to a target that was missed are an empty cell: they are censored at the budget, `training.steps`.
    """
    return _csv(_trials(table))


def trials_parquet(table: SweepTable) -> bytes:
    """The rows and columns of `trials_csv` as a Parquet file, which keeps the columns' types.

    A column whose values are of several types, which Parquet does not have, is one of text.
    """
    trials = _trials(table)
    for key in trials.columns:
        if trials[key].dropna().map(type).nunique() > 1:
            trials[key] = trials[key].map(str, na_action="ignore")
    return trials.to_parquet(index=False, engine="pyarrow")


def _trials(table: SweepTable) -> pd.DataFrame:
    """A new frame with the columns of `trials_csv`."""
    trials = table.trials
    varied = [key for key in table.record.asked.varied if key in trials and key not in {"seed", _BUDGET}]
    return trials[[*STATE, *varied, _BUDGET, "seed", *metric_columns(trials)]]


def curves_csv(table: SweepTable) -> str:
    """One row for each trial and step of its evaluation grid: what was measured there, to the last bit."""
    return _csv(table.curves)


def _tables(contents: Contents) -> Mapping[str, str | bytes]:
    """The data and the statistics behind the report, to the last bit."""
    parts = contents.analysis.subjects
    differences = [{**contrast.row, "rates": "equal"} for subject in parts for contrast in subject.differences]
    differences += [{**contrast.row, "rates": "tuned"} for subject in parts for contrast in subject.tuned_differences]
    return {
        "trials.csv": trials_csv(contents.table),
        "trials.parquet": trials_parquet(contents.table),
        "curves.csv": curves_csv(contents.table),
        "arms.csv": _csv(pd.DataFrame([arm.row for subject in parts for arm in subject.arms])),
        "differences.csv": _csv(pd.DataFrame(differences)),
        "robustness.csv": _csv(pd.DataFrame([choice_row(choice) for group in contents.choices for choice in group])),
    }


_WRITERS: dict[str, Callable[[Contents], Mapping[str, str | bytes]]] = {
    "html": lambda contents: {"report.html": to_html(contents)},
    "md": lambda contents: {"report.md": to_markdown(contents)},
    "tex": lambda contents: {"report.tex": to_latex(contents)},
    "csv": _tables,
}
_CHARTS = {"tex": ("pdf",), "figures": ("svg", "png", "pdf")}  # the kinds of chart files that a format brings


def _csv(frame: pd.DataFrame) -> str:
    # pandas writes a float as its shortest text that reads back to the same bits.
    return frame.to_csv(index=False, lineterminator="\n")
