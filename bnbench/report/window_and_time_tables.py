"""The report's tables beside accuracy: learning rates at which a level trains, and seconds of lone trials."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable
from bnbench.analysis.timing import timed_arms, timed_ratios
from bnbench.analysis.windows import learning_rate_windows, window_differences
from bnbench.report.number_words import count, text
from bnbench.report.table import Cell, Column, Table, make_rows
from bnbench.report.tables import level_title, setting_cells, setting_columns

_FEWEST_RATES = 3  # of fewer, a window's width says little
_ENDS = {"smallest": "at_low_edge", "largest": "at_high_edge"}


def window_tables(table: SweepTable) -> list[Table]:
    """The range of learning rates at which each level trains, and how much wider one's is; empty without a grid."""
    windows, differences = learning_rate_windows(table), window_differences(table)
    if windows.empty or table.reporting["optimizer.lr"].nunique() < _FEWEST_RATES:
        return []
    keys = _settings(windows, "level")
    rows = [
        (
            *setting_cells(row, keys),
            Cell(row["level"]),
            *(_rate(row[end], cut=row[at_edge]) for end, at_edge in _ENDS.items()),
            Cell(f"{row['decades']:.2f}", row["decades"]),
            Cell(str(row["holes"] or ""), row["holes"]),
            Cell(str(row["seeds"]), row["seeds"]),
        )
        for _, row in windows.iterrows()
    ]
    columns = (
        *setting_columns(table, keys),
        Column(level_title(table)),
        Column("from", numeric=True),
        Column("to", numeric=True),
        Column("decades", numeric=True),
        Column("gaps", numeric=True, optional=True),
        Column("seeds", numeric=True),
    )
    title = "Learning rates at which at least 80 % of the seeds trained (* the grid ends there)"
    made = [Table(title, columns, make_rows(rows, len(keys), levels=[*windows["level"]]))]
    if len(differences):
        made.append(_wider(table, differences))
    return made


def _rate(value: float, *, cut: bool) -> Cell:
    return Cell("none") if pd.isna(value) else Cell(f"{text(value)}{'*' if cut else ''}", value)


def _wider(table: SweepTable, differences: pd.DataFrame) -> Table:
    keys = _settings(differences, "a")
    rows = [
        (
            *setting_cells(row, keys),
            Cell(f"{row['a']} - {row['b']}"),
            *_estimate(row["mean"], row["low"], row["high"], signed=True),
            *_estimate(row["largest_mean"], row["largest_low"], row["largest_high"], signed=True),
            Cell(str(row["n"]), row["n"]),
        )
        for _, row in differences.iterrows()
    ]
    columns = (
        *setting_columns(table, keys),
        Column("difference"),
        Column("width", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("largest rate", numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
        Column("pairs", numeric=True),
    )
    return Table("How much wider, and how much higher it reaches, in decades", columns, make_rows(rows, len(keys)))


def timing_tables(table: SweepTable) -> list[Table]:
    """What `python -m bnbench time` measured of the sweep's arms; empty where it was not run."""
    if not table.record.found_out.timing:
        return []
    arms, ratios = timed_arms(table), timed_ratios(table)
    made = []
    if len(arms):
        made.append(_timed(table, arms.assign(what=arms["level"]), "seconds", 1000.0, "ms a step", level_title(table)))
    if len(ratios):
        both = ratios.assign(what=ratios["a"] + " / " + ratios["b"])
        made.append(_timed(table, both, "ratio", 1.0, "ratio", "compared"))
    return made


def _timed(table: SweepTable, frame: pd.DataFrame, value: str, scale: float, unit: str, what: str) -> Table:
    keys = _settings(frame, "level" if "level" in frame else "a")
    rows = [
        (
            *setting_cells(row, keys),
            Cell(row["what"]),
            *_estimate(scale * row[value], *_bounds(row, scale)),
        )
        for _, row in frame.iterrows()
    ]
    columns = (
        *setting_columns(table, keys),
        Column(what),
        Column(unit, numeric=True),
        Column("95 % interval", numeric=True, bounds=True),
    )
    rounds = count(frame["n"].max(), "round")
    timing = table.record.found_out.timing
    disturbed = "; something else ran meanwhile" if timing and timing.disturbed else ""
    title = f"A training step of a lone trial, geometric mean of {rounds}{disturbed}"
    return Table(title, columns, make_rows(rows, len(keys)))


def _bounds(row: pd.Series[Any], scale: float) -> tuple[float, float]:
    low, high = (math.nan if pd.isna(row[end]) else scale * row[end] for end in ("low", "high"))
    return low, high


def _settings(frame: pd.DataFrame, first: str) -> list[str]:
    """The columns before the first of those that every row of the frame has."""
    return [*frame.columns[: list(frame.columns).index(first)]]


def _estimate(mean: float, low: float, high: float, *, signed: bool = False) -> tuple[Cell, Cell]:
    sign = "+" if signed else ""
    shown = [f"{value:{sign}.2f}".replace("-", "\N{MINUS SIGN}") for value in (mean, low, high)]
    if pd.isna(mean):
        return Cell(""), Cell("")
    if pd.isna(low):
        return Cell(shown[0], mean), Cell("")
    return Cell(shown[0], mean), Cell(f"{shown[1]} to {shown[2]}", low, (low, high))
