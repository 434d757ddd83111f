"""`card`: a norm is put through the battery within its budget, and the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_TINY = ("data=digits", "training.steps=4", "model.width=8", "sweep.tuning_seeds=[100]", "hydra.launcher.n_jobs=1")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "card needs a norm; give norm.factory=package.module:function, or norm=layer"),
        (["norm.factory=nowhere:norm"], "norm.factory=nowhere:norm cannot be imported"),
        (["norm.factory=json:dumps"], "norm.factory=json:dumps"),
        (["norm.factory=operator:neg"], "norm.factory=operator:neg returned int; it must be a torch.nn.Module"),
        (["norm=layer", "card.minutes=0"], "card.minutes=0 is not allowed; it must be a number of minutes > 0"),
        (["norm=layer", "card.minutes=soon"], "card.minutes=soon is not allowed"),
        (["norm=layer", "card.parts=width"], "card.parts=width is unknown; allowed: batch_size, learning_rate, depth"),
        (["norm=layer", "card.colour=red"], "card.colour=red is unknown; allowed: card.minutes=…, card.parts=…"),
        (["norm=layer,rms"], "norm=layer,rms has several values"),
        (["norm=layer", "training.steps=5,6"], "training.steps=5,6 has several values"),
        (["norm=none"], "norm=none is no norm to make a card of"),
        (["norm=layer", "seed=3"], "seed=3 is not for card, whose battery decides seed; leave it out"),
        (["norm=layer", "model.depth=2"], "model.depth=2 is not for card, whose battery decides model.depth"),
        (["norm=layer", "model=custom", "model.factory=a:b"], "model=custom is not for card"),
        (["norm=layer", "sweep.max_minutes=2"], "give card.minutes=2"),
    ],
)
def test_a_word_that_does_not_fit_is_answered_in_one_line(
    typed: list[str], said: str, bnbench: Command, folder: Path
) -> None:
    answer = bnbench("card", *typed)
    assert answer.status == 2
    [line] = answer.err
    assert said in line
    assert not (folder / "runs" / "mlflow.db").exists()


def test_a_budget_that_no_part_fits_into_is_answered_before_training(bnbench: Command, folder: Path) -> None:
    answer = bnbench("card", "norm=layer", *_TINY, "card.minutes=0.0001", "card.parts=inputs")
    assert answer.status == 2
    [line] = answer.err
    assert line.startswith("card.minutes=0.0001 is too short for any part of the card: the shortest takes about ")
    assert not list((folder / "runs").glob("card*/card.json"))


def test_a_card_is_written_and_the_same_command_goes_on(bnbench: Command, folder: Path) -> None:
    words = ["card", "norm=layer", *_TINY, "optimizer.lr=0.1", "sweep.max_seeds=10", "card.parts=inputs"]
    answer = bnbench(*words)
    assert (answer.status, answer.err) == (0, [])
    place = folder / "runs" / "card-layer-norm"
    assert sorted(file.name for file in place.iterdir()) == ["card.html", "card.json", "sweeps.txt"]
    card = json.loads((place / "card.json").read_text())
    assert [row["setting"] for row in card["rows"]] == [f"data.scaling={one}" for one in ("standard", "unit", "raw")]
    assert all({*row["shown"]} == {"layer", "none", "batch", "group"} for row in card["rows"])
    assert card["command"].startswith("python -m bnbench card norm=layer data=digits")
    assert {row["verdict"] for row in card["rows"]} <= {"better", "equivalent", "worse", "fails", "open"}
    assert answer.out[-1].startswith("card: ")
    assert "120 trials (0 duplicates dropped, 0 finished before" in (place / "sweeps.txt").read_text()
    again = bnbench(*words)
    assert (again.status, again.err) == (0, [])
    assert "120 trials (0 duplicates dropped, 120 finished before" in (place / "sweeps.txt").read_text()
    rows = json.loads((place / "card.json").read_text())["rows"]
    drop = {"sweep"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in rows] == [
        {k: v for k, v in row.items() if k not in drop} for row in card["rows"]
    ]


def test_a_plan_alone_trains_nothing(bnbench: Command, folder: Path) -> None:
    words = ["card.parts=learning_rate", "optimizer.lr=0.1", "sweep.max_seeds=10"]  # of use for the other parts alone
    answer = bnbench("card", "norm=layer", *_TINY, *words, "plan_only=true")
    assert (answer.status, answer.err) == (0, [])
    assert any("240 trials (0 duplicates dropped" in line for line in answer.out)
    assert not (folder / "runs" / "card-layer-norm").exists()


@pytest.mark.slow
def test_a_norm_of_one_s_own_has_a_row_for_every_part(bnbench: Command, folder: Path) -> None:
    (folder / "card_norm.py").write_text("from torch import nn\n\n\ndef norm(features):\n    return nn.Identity()\n")
    answer = bnbench("card", "norm.factory=card_norm:norm", *_TINY, "card.minutes=60", "optimizer.lr=0.03,0.3")
    assert (answer.status, answer.err) == (0, [])
    card = json.loads((folder / "runs" / "card-card_norm-norm" / "card.json").read_text())
    parts = dict.fromkeys(row["part"] for row in card["rows"])
    assert [*parts] == [
        "Batch size",
        "Learning rates that train",
        "Depth",
        "Scale of the initial weights",
        "Scale and shift of the inputs",
    ]
    assert len(card["rows"]) == 4 + 1 + 3 + 3 + 3
    assert "not tried" not in {row["verdict"] for row in card["rows"]}
