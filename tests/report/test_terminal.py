"""The report on a terminal: aligned, and no wider than it if that can be."""

from __future__ import annotations

from typing import Any

from bnbench.report import Contents, terminal_conclusion, terminal_table


def test_columns_are_aligned(make_sweep: Any) -> None:
    lines = terminal_table(Contents(make_sweep(axes={"optimizer.lr": (0.1, 0.3)})), 120).splitlines()
    start = lines[1].index("norm")
    assert [line[start:].split()[0] for line in lines[3:9]] == ["none", "before", "after"] * 2
    assert all(line[start - 1] == " " for line in lines[3:9])


def test_a_narrow_terminal_leaves_out_steps_and_says_so(make_sweep: Any) -> None:
    table = make_sweep(axes={"model": ("fc", "cnn"), "optimizer.lr": (0.1, 0.3)})
    text = terminal_table(Contents(table), 80)
    assert "Left out to fit 80 columns: steps to 0.9." in text
    assert max(map(len, text.splitlines())) <= 80
    assert "Left out" not in terminal_table(Contents(table), 200)


def test_paired_differences_stand_beside_the_arms(make_sweep: Any) -> None:
    text = terminal_table(Contents(make_sweep()), 120)
    assert "Paired differences of test accuracy" in text
    assert "after - before" in text


def test_the_conclusion_is_wrapped(make_sweep: Any) -> None:
    assert max(map(len, terminal_conclusion(Contents(make_sweep()), 60).splitlines())) <= 60
