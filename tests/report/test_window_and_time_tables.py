"""Learning rates that train, and seconds of lone trials, as tables beside accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bnbench.analysis import Analysis
from bnbench.record.sweep_record import FoundOut, TimedArm, TimingRecord
from bnbench.report import Contents
from bnbench.report.table import Table
from bnbench.report.window_and_time_tables import timing_tables, window_tables

_RATES = {"optimizer.lr": (0.01, 0.1, 1.0)}


def _shown(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_a_window_says_from_where_to_where_a_level_trains_and_how_much_wider_it_is(make_sweep: Any) -> None:
    def status(params: dict[str, Any], level: str) -> str:
        return "diverged" if level == "none" and params["optimizer.lr"] > 0.1 else "finished"

    windows, wider = window_tables(Analysis(make_sweep(axes=_RATES, level_names=("none", "before"), status=status)))
    assert _shown(windows) == [
        ["none", "0.01*", "0.1", "2.00", "", "10"],
        ["batch", "0.01*", "1*", "3.00", "", "10"],
    ]
    [[name, width, _, largest, _, pairs]] = _shown(wider)
    assert (name, pairs) == ("batch - none", "10")
    assert (width, largest) == ("+1.00", "+1.00")


def test_a_level_that_trains_nowhere_and_a_gap_are_told(make_sweep: Any) -> None:
    def status(params: dict[str, Any], level: str) -> str:
        return "diverged" if level == "none" or params["optimizer.lr"] == 0.1 else "finished"

    windows, _ = window_tables(Analysis(make_sweep(axes=_RATES, level_names=("none", "before"), status=status)))
    assert _shown(windows) == [
        ["none", "none", "none", "0.00", "", "10"],
        ["batch", "0.01*", "1*", "2.00", "1", "10"],
    ]


@pytest.mark.parametrize("rates", [(), (0.1,), (0.1, 1.0)])
def test_a_few_learning_rates_make_no_window(rates: tuple[float, ...], make_sweep: Any) -> None:
    assert window_tables(Analysis(make_sweep(axes={"optimizer.lr": rates} if rates else {}))) == []


def test_what_was_timed_is_told_with_its_ratio_and_only_then(make_sweep: Any) -> None:
    sweep = make_sweep(level_names=("none", "before"))
    assert timing_tables(Analysis(sweep)) == []
    keys = {
        level: sweep.trials[sweep.trials["norm"] == norm]["key"].tolist()
        for level, norm in (("none", "none"), ("before", "batch"))
    }
    timed = [
        TimedArm("none", "", [0.001, 0.002], keys["none"]),
        TimedArm("before", "", [0.0015, 0.003], keys["before"]),
    ]
    known = FoundOut(timing=TimingRecord("made_up", timed, disturbed=True))
    sweep = replace(sweep, record=replace(sweep.record, found_out=known))
    arms, ratios = timing_tables(Analysis(sweep))
    assert "geometric mean of 2 rounds; something else ran meanwhile" in arms.title
    assert [row[:2] for row in _shown(arms)] == [["none", "1.41"], ["batch", "2.12"]]
    assert [row[:2] for row in _shown(ratios)] == [["batch / none", "1.50"]]
    assert ("Time", [arms, ratios]) in Contents(sweep).numbers
