"""The report on a terminal: aligned, and no wider than it if that can be."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from bnbench.report import Contents, has_colour, terminal_conclusion, terminal_headlines, terminal_table


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


def test_headlines_stand_behind_a_dot_that_says_whether_they_are_settled(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"model": ("fc", "cnn")},
        level_names=("none", "before"),
        seeds=range(20, 30),
        accuracy=lambda p, level: 0.9 + 0.05 * (level == "before" and p["model"] == "fc"),
    )
    settled, open_one = terminal_headlines(Contents(table), 200).splitlines()
    assert settled.startswith("\N{BLACK CIRCLE} fc: batch beats no norm by ")
    assert open_one.startswith("\N{WHITE CIRCLE} cnn: cannot tell batch from no norm (")


def test_colour_changes_no_word_of_a_headline(make_sweep: Any) -> None:
    said = Contents(make_sweep(axes={"model": ("fc", "cnn")}))
    plain, coloured = terminal_headlines(said, 60), terminal_headlines(said, 60, colour=True)
    assert "\x1b" not in plain
    assert coloured.count("\x1b[33m") == 2
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert max(map(len, plain.splitlines())) <= 60


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_whose_owner_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colour(Terminal())
    assert not has_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colour(Terminal())
