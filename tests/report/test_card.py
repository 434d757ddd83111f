"""A norm's card: each verdict on made-up sweeps whose truth is known, and the same rows as page, JSON and text."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bnbench.analysis import Analysis
from bnbench.report.card import CardRow, Verdict, accuracy_rows, counted, untried_row, window_rows
from bnbench.report.card_page import Card, terminal_card, write_card

OWN, OTHERS = "after", ("none", "before")
BATCH_SIZES = (8, 64)


def rows(make_sweep: Any, **made: Any) -> list[CardRow]:
    table = make_sweep(
        axes={"training.batch_size": BATCH_SIZES},
        meta={"axis": "training.batch_size", "contrasts": [f"{OWN} - {level}" for level in OTHERS]},
        **made,
    )
    return accuracy_rows(Analysis(table), "Batch size", "training.batch_size", OWN)


def verdicts(make_sweep: Any, **made: Any) -> list[Verdict]:
    return [row.verdict for row in rows(make_sweep, **made)]


def test_a_norm_is_better_only_where_it_is_better_than_each_of_the_others(make_sweep: Any) -> None:
    def accuracy(params: Any, level: str) -> float:
        at_eight = params["training.batch_size"] == 8
        return {"none": 0.7, "before": 0.8 if at_eight else 0.9, "after": 0.85}[level]

    better, worse = rows(make_sweep, accuracy=accuracy)
    assert (better.verdict, better.setting, better.beside) == (Verdict.better, "batch size 8", "before")
    assert better.estimate == pytest.approx(5, abs=0.5)
    assert better.low is not None
    assert better.high is not None
    assert better.low < better.estimate < better.high
    assert better.pairs == 10
    assert (worse.verdict, worse.beside) == (Verdict.worse, "before")  # though it is better than none


def test_what_was_measured_does_not_tell_where_levels_are_alike(make_sweep: Any) -> None:
    assert verdicts(make_sweep) == [Verdict.open, Verdict.open]


def test_an_open_row_says_what_keeps_it_open(make_sweep: Any) -> None:
    def at_the_edge(params: Any, level: str) -> float:
        return 0.9 - 0.01 * params["optimizer.lr"] * (level == "before")

    table = make_sweep(
        axes={"training.batch_size": BATCH_SIZES, "optimizer.lr": (0.1, 1.0, 3.0)},
        tuning_seeds=(100, 101),
        accuracy=at_the_edge,
        meta={"axis": "training.batch_size", "contrasts": [f"{OWN} - {level}" for level in OTHERS]},
    )
    row, _ = accuracy_rows(Analysis(table), "Batch size", "training.batch_size", OWN)
    assert row.verdict == Verdict.open
    assert "before" in row.remark
    assert row.remark.endswith("at the edge of the grid")


def test_a_norm_that_does_not_train_fails_whatever_the_others_do(make_sweep: Any) -> None:
    def status(params: Any, level: str) -> str:
        return "diverged" if level == OWN and params["training.batch_size"] == 8 else "finished"

    first, second = rows(make_sweep, status=status)
    assert (first.verdict, first.estimate) == (Verdict.fails, None)
    assert first.shown[OWN] == "0 of 10 trained"
    assert second.verdict == Verdict.open


def test_a_norm_is_better_than_others_that_do_not_train(make_sweep: Any) -> None:
    found = rows(make_sweep, status=lambda params, level: "finished" if level == OWN else "diverged")
    assert [(row.verdict, row.beside, row.estimate) for row in found] == [(Verdict.better, "", None)] * 2


def test_a_norm_without_a_result_by_definition_is_undefined(make_sweep: Any) -> None:
    found = rows(make_sweep, status=lambda params, level: "undefined" if level == OWN else "finished")
    assert {row.verdict for row in found} == {Verdict.undefined}
    assert found[0].shown[OWN] == "undefined"


def windows(make_sweep: Any, trains_to: dict[str, float]) -> CardRow:
    table = make_sweep(
        axes={"optimizer.lr": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        seeds=range(6),
        meta={"axis": "optimizer.lr", "contrasts": [f"{OWN} - {level}" for level in OTHERS]},
        status=lambda params, level: (
            "finished" if params["optimizer.lr"] <= trains_to[level] + params["seed"] * 1e-3 else "diverged"
        ),
    )
    [row] = window_rows(Analysis(table), "Learning rates", OWN)
    return row


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (10.0, 0.3, Verdict.better),
        (0.3, 3.0, Verdict.worse),
        (1.0, 1.0, Verdict.equivalent),
        (0.001, 1.0, Verdict.fails),
    ],
)
def test_windows_of_learning_rates_are_compared_in_decades(
    make_sweep: Any, own: float, other: float, verdict: Verdict
) -> None:
    row = windows(make_sweep, {"none": 0.1, "before": other, OWN: own})
    assert row.verdict == verdict
    if verdict != Verdict.fails:
        assert row.beside == "before"
        assert row.estimate == pytest.approx(math.log10(own / other), abs=0.06)


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_page_json_and_text_have_the_same_rows(make_sweep: Any, tmp_path: Path) -> None:
    found = [*rows(make_sweep, accuracy=lambda p, level: 0.9 - 0.05 * (level == OWN)), untried_row("Depth", "no time")]
    card = Card(
        "mine:norm",
        OWN,
        OTHERS,
        "python -m bnbench card <b>",
        "fc on digits.",
        3.0,
        "0.7 pp",
        found,
        {"Versions": "x"},
        ["depth: not tried"],
    )
    page, data = write_card(card, tmp_path)
    assert card.headline == "mine:norm is worse in 2 of 3 settings, not tried in 1"
    first = page.read_bytes(), data.read_bytes()
    write_card(card, tmp_path)
    assert (page.read_bytes(), data.read_bytes()) == first
    written = json.loads(data.read_text())
    assert [row["verdict"] for row in written["rows"]] == ["worse", "worse", "not tried"]
    assert written["command"] == "python -m bnbench card <b>"
    said = " ".join(_Text(page.read_text()).said)
    text = terminal_card(card, 200)
    for words in (card.headline, "batch size 8", "not tried", "no time", "3 minutes were too short: depth: not tried."):
        assert words in said.replace("\N{NO-BREAK SPACE}", " ")
        assert words in text
    assert "python -m bnbench card <b>" in said
    assert "The margin is 0.7 pp of accuracy" in said.replace("\N{NO-BREAK SPACE}", " ")
    assert "<b>" not in page.read_text()


def test_a_card_without_rows_says_so() -> None:
    assert counted([]) == "nothing was tried yet"
