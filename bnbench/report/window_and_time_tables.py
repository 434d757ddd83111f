"""The tables that are not about accuracy: learning rates at which a level trains, and seconds of lone trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bnbench.analysis import Analysis, Interval
from bnbench.analysis.design import LEARNING_RATE
from bnbench.report.number_words import count, text
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.tables import level_title, setting_cells, setting_columns

_FEWEST_RATES = 3  # with fewer learning rates, a window's width says little


def window_tables(analysis: Analysis) -> list[Table]:
    """Tables of the learning rates at which each level trains and of how widths differ; empty with few rates."""
    windows = analysis.windows
    if not windows or analysis.table.reporting[LEARNING_RATE].nunique() < _FEWEST_RATES:
        return []
    keys = [*windows[0].where]
    rows = [
        (
            *setting_cells(window.where, keys),
            Cell(window.level),
            _rate(window.smallest, cut=window.at_low_edge),
            _rate(window.largest, cut=window.at_high_edge),
            Cell(f"{window.decades:.2f}", window.decades),
            Cell(str(window.holes or ""), window.holes),
            Cell(str(window.seeds), window.seeds),
        )
        for window in windows
    ]
    columns = (
        *setting_columns(analysis, keys),
        Column(level_title(analysis)),
        Column("from", numeric=True),
        Column("to", numeric=True),
        Column("decades", numeric=True),
        Column("gaps", numeric=True, optional=True),
        Column("seeds", numeric=True),
    )
    title = "Learning rates at which at least 80 % of the seeds trained (* the grid ends there)"
    table = Table(title, columns, make_rows(rows, len(keys), levels=[window.level for window in windows]))
    return [table, _wider(analysis, keys)] if analysis.window_differences else [table]


def _rate(value: float, *, cut: bool) -> Cell:
    return Cell("none") if math.isnan(value) else Cell(f"{text(value)}{'*' if cut else ''}", value)


def _wider(analysis: Analysis, keys: Sequence[str]) -> Table:
    rows = [
        (
            *setting_cells(difference.where, keys),
            Cell(f"{difference.a} - {difference.b}"),
            *_estimate(difference.width, signed=True),
            *_estimate(difference.largest, signed=True),
            Cell(str(difference.width.n), difference.width.n),
        )
        for difference in analysis.window_differences
    ]
    columns = (
        *setting_columns(analysis, keys),
        Column("difference"),
        Column("width", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("largest rate", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("pairs", numeric=True),
    )
    return Table("How much wider, and how much higher it reaches, in decades", columns, make_rows(rows, len(keys)))


def timing_tables(analysis: Analysis) -> list[Table]:
    """Tables of the seconds that `python -m bnbench time` measured for the sweep's arms; empty if it was not run."""
    arms = [(one.where, one.level, one.seconds) for one in analysis.timed_levels]
    ratios = [(one.where, f"{one.a} / {one.b}", one.ratio) for one in analysis.timed_ratios]
    tables = [_timed(analysis, arms, 1000.0, "ms a step", level_title(analysis))] if arms else []
    return [*tables, _timed(analysis, ratios, 1.0, "ratio", "compared")] if ratios else tables


def _timed(
    analysis: Analysis, timed: Sequence[tuple[Mapping[str, Any], str, Interval]], scale: float, unit: str, what: str
) -> Table:
    keys = [*timed[0][0]]
    rows = [(*setting_cells(where, keys), Cell(name), *_estimate(value, scale)) for where, name, value in timed]
    columns = (
        *setting_columns(analysis, keys),
        Column(what),
        Column(unit, numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
    )
    rounds = count(max(value.n for *_, value in timed), "round")
    timing = analysis.table.record.found_out.timing
    disturbed = "; something else ran meanwhile" if timing and timing.disturbed else ""
    title = f"A training step of a lone trial, geometric mean of {rounds}{disturbed}"
    return Table(title, columns, make_rows(rows, len(keys)))


def _estimate(interval: Interval, scale: float = 1.0, *, signed: bool = False) -> tuple[Cell, Cell]:
    def shown(value: float) -> str:
        return f"{value:{'+' if signed else ''}.2f}".replace("-", "\N{MINUS SIGN}")

    if math.isnan(interval.mean):
        return Cell(""), Cell("")
    mean = Cell(shown(scale * interval.mean), scale * interval.mean)
    if interval.low is None or interval.high is None:
        return mean, Cell("")
    low, high = scale * interval.low, scale * interval.high
    return mean, Cell(f"{shown(low)} to {shown(high)}", low, (low, high))
