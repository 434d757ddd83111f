"""The main table: each level at one learning rate for all, and at its own."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.analysis.outcomes import Outcomes
from bnbench.report import Contents
from bnbench.report.tables import outcome_cell

LRS = (0.1, 0.3, 1.0)
BEST = {"none": 0.3, "before": 1.0, "after": 0.1}


def rows(table: Any) -> list[dict[str, str]]:
    made = Contents(table).main
    assert made is not None
    heads = [column.full_title for column in made.columns]
    return [dict(zip(heads, (cell.text for cell in row.cells), strict=True)) for row in made.rows]


def test_every_level_stands_at_the_reference_rate_and_at_its_own(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"model": ("fc", "cnn"), "optimizer.lr": LRS},
        tuning_seeds=(100, 101, 102),
        accuracy=lambda params, level: 0.93 - 0.03 * abs(params["optimizer.lr"] - BEST[level]),
        noise=0.0,
    )
    made = rows(table)
    assert [(row["model"], row["norm"]) for row in made] == [(m, x) for m in ("fc", "cnn") for x in BEST]
    for row in made:
        level = row["norm"]
        assert row["rate, at none's learning rate"] == "0.3"
        assert row["rate, at its own"] == f"{BEST[level]:g}"
        assert row["accuracy, at its own"] == "93.00 (all equal)"
        matched = 93 - 3 * abs(0.3 - BEST[level])
        assert row["accuracy, at none's learning rate"] == f"{matched:.2f} (all equal)"
        assert row["target"] == "0.9"


def test_failures_stand_beside_the_accuracy_of_the_survivors(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        tuning_seeds=(100,),
        status=lambda p, level: "diverged" if level == "after" and p["seed"] < 4 else "finished",
    )
    assert rows(table)[2]["finished, at its own"] == "6 of 10, 4 diverged"


def test_a_level_without_a_finished_tuning_trial_has_no_rate_of_its_own(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        tuning_seeds=(100,),
        status=lambda p, level: "diverged" if level == "after" and p["seed"] == 100 else "finished",
    )
    after = rows(table)[2]
    assert after["rate, at its own"] == ""
    assert after["rate, at none's learning rate"] != ""


def test_without_tuning_every_arm_has_its_row(make_sweep: Any) -> None:
    made = rows(make_sweep(axes={"model": ("fc", "cnn"), "optimizer.lr": LRS}))
    assert len(made) == 2 * 3 * 3
    assert {"model", "learning rate", "norm", "accuracy, %", "steps to 0.9"} <= {*made[0]}


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ({"finished": 10}, "10 of 10"),
        ({"finished": 10, "collapsed": 10}, "10 of 10 (all collapsed)"),
        ({"finished": 6, "collapsed": 2, "diverged": 3, "failed": 1}, "6 of 10 (2 collapsed), 3 diverged, 1 failed"),
    ],
)
def test_what_became_of_an_arm_s_trials(outcomes: dict[str, int], said: str) -> None:
    assert outcome_cell(Outcomes(planned=10, **outcomes)).text == said
