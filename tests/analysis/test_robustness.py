"""Robustness: every defensible choice is made, and agreement with the main analysis is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis import SweepTable, robustness
from bnbench.analysis.significance import mcnemar_p
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord

GRID = [0, 1, 2, 4, 8, 16]
TARGET = 0.8
RATES = [0.1, 0.3, 1.0]


def sweep(
    gain: dict[float, float], *, tuning: tuple[int, ...] = (), batch_statistics: float | None = None
) -> SweepTable:
    """Ten seeds of none and batch, which leads by `gain` at each learning rate, and hits at 4 where none does at 8.

    Under its batch's statistics, batch's validation accuracy changes by `batch_statistics`.
    """
    generator = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for lr, norm, seed in ((lr, norm, s) for lr in gain for norm in ("none", "batch") for s in (*range(10), *tuning)):
        acc = 0.9 + generator.normal(0, 0.002) + (gain[lr] if norm == "batch" else 0)
        key, hit = f"k{len(rows)}", 4 if norm == "batch" else 8
        best = 0.9 - abs(math.log10(lr / 0.3)) / 10
        row = {"key": key, "status": "finished", "reason": "", "data": "mnist_5k", "seed": seed, "norm": norm}
        row |= {"optimizer.lr": lr, "training.steps": 16, "tuning": seed in tuning, names.TEST_ACC: acc}
        row |= {names.ACC_BEST: best + generator.normal(0, 0.001)}
        rows.append(row | {names.steps_to(TARGET): float(hit), names.reached(TARGET): 1.0})
        for step in GRID:
            value = acc if step >= hit else 0.2
            curve = {"key": key, "step": step, "examples": step, names.VAL_ACC: value, names.VAL_ACC_BATCH: math.nan}
            if norm == "batch" and batch_statistics is not None:
                curve[names.VAL_ACC_BATCH] = value + batch_statistics
            curves.append(curve)
    meta = {"name": "made_up", "id": "0", "compare": ["norm"], "contrasts": [], "tuning_seeds": list(tuning)}
    return SweepTable(
        SweepRecord.from_json({**meta, "varied": ["optimizer.lr", "norm", "seed"]}),
        pd.DataFrame(rows),
        pd.DataFrame(curves),
    )


def test_every_choice_is_made_once() -> None:
    rows = robustness(sweep(dict.fromkeys(RATES, 0.02), tuning=(100,), batch_statistics=0.0), "batch", "none")
    # Four accuracies and two kinds of steps, at the best and at three learning rates.
    assert len(rows) == 6 * 4
    assert rows["choice"].is_unique
    assert rows["choice"].iloc[0] == "test accuracy, each at its best learning rate"


def test_a_difference_that_is_always_there_holds_wherever_it_is_measured() -> None:
    rows = robustness(sweep(dict.fromkeys(RATES, 0.02)), "batch", "none")
    accuracy = rows[rows["measure"].isin([names.TEST_ACC, names.VAL_ACC])]
    assert accuracy["holds"].all()
    assert (accuracy["answer"] == "a").all()
    assert accuracy["advantage"].between(0.015, 0.025).all()


def test_fewer_steps_are_an_advantage() -> None:
    rows = robustness(sweep({0.1: 0.02}), "batch", "none")
    steps = rows[rows["measure"] == names.steps_to(TARGET)]
    assert np.allclose(steps["advantage"], np.log(2))
    mirror = robustness(sweep({0.1: 0.02}), "none", "batch")
    assert np.allclose(mirror[mirror["measure"] == names.steps_to(TARGET)]["advantage"], -np.log(2))


def test_a_difference_that_turns_with_the_learning_rate_does_not_hold_everywhere() -> None:
    rows = robustness(sweep({0.1: 0.02, 0.3: 0.01, 1.0: -0.03}), "batch", "none")
    test = rows[rows["measure"] == names.TEST_ACC]
    assert dict(zip(test["rates"], test["holds"], strict=True)) == {0.1: True, 0.3: True, 1.0: False}


def test_an_unclear_main_analysis_holds_nowhere() -> None:
    rows = robustness(sweep({0.1: 0.02, 0.3: 0.0, 1.0: -0.03}), "batch", "none")
    test = rows[rows["measure"] == names.TEST_ACC]
    assert test["rates"].iloc[0] == 0.3
    assert not test["holds"].any()


def test_batch_statistics_are_one_more_choice_and_a_level_without_any_keeps_its_accuracy() -> None:
    rows = robustness(sweep({0.1: 0.02}, batch_statistics=-0.1), "batch", "none")
    by_measure = rows.set_index("measure")
    assert by_measure.loc[names.VAL_ACC, "answer"] == "a"
    assert by_measure.loc[names.VAL_ACC_BATCH, "answer"] == "b"
    assert names.VAL_ACC_BATCH not in set(robustness(sweep({0.1: 0.02}), "batch", "none")["measure"])


def test_misses_that_leave_a_bound_leave_an_answer() -> None:
    table = sweep({0.1: 0.02})
    trials = table.trials.copy()
    slow = (trials["norm"] == "none") & (trials["seed"] < 3)
    trials.loc[slow, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    rows = robustness(SweepTable(table.record, trials, table.curves), "batch", "none")
    first_hit = rows[rows["choice"] == f"steps to {TARGET:g}"].iloc[0]
    assert first_hit["answer"] == "a"
    assert first_hit["high"] == math.inf


def failing(table: SweepTable, norm: str, *, seeds: int) -> SweepTable:
    """The sweep with so many trials of a norm at chance."""
    trials = table.trials.copy()
    lost = (trials["norm"] == norm) & (trials["seed"] < seeds)
    trials.loc[lost, names.TEST_ACC] = 0.1
    trials.loc[lost, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    return SweepTable(table.record, trials, table.curves)


def test_where_trials_failed_their_successes_decide_in_place_of_every_accuracy() -> None:
    rows = robustness(failing(sweep({0.1: 0.02}), "none", seeds=10), "batch", "none")
    first = rows.iloc[0]
    assert (first["choice"], first["counts"]) == (
        "trials that succeeded",
        "10 of 10 against 0 of 10",
    )
    assert (first["answer"], first["holds"], first["advantage"]) == ("a", True, 1.0)
    assert not rows["measure"].isin([names.VAL_ACC, names.ACC_BEST]).any()
    few = robustness(failing(sweep({0.1: 0.02}), "none", seeds=1), "batch", "none").iloc[0]
    assert (few["answer"], few["counts"]) == ("unclear", "10 of 10 against 9 of 10")
    mirror = robustness(failing(sweep({0.1: 0.02}), "none", seeds=10), "none", "batch").iloc[0]
    assert mirror["answer"] == "b"


def test_where_misses_leave_no_ratio_the_trials_that_reached_the_target_decide() -> None:
    table = sweep({0.1: 0.0})
    trials = table.trials.copy()
    missed = ((trials["norm"] == "none") & (trials["seed"] < 9)) | ((trials["norm"] == "batch") & (trials["seed"] == 9))
    trials.loc[missed, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    rows = robustness(SweepTable(table.record, trials, table.curves), "batch", "none")
    row = rows[rows["choice"] == f"steps to {TARGET:g}"].iloc[0]
    assert (row["counts"], row["answer"]) == ("9 of 10 against 1 of 10", "a")
    assert row["p"] == mcnemar_p(9, 1)


def test_each_choice_is_corrected_for_as_many_comparisons_as_the_main_analysis() -> None:
    """A difference that ten pairs show by itself is one of 48 that they cannot tell from chance."""
    table = sweep(dict.fromkeys(RATES, 0.02))
    alone = robustness(table, "batch", "none")
    assert not alone["family"].any()
    assert (alone[alone["measure"] == names.TEST_ACC]["answer"] == "a").all()
    rates = [0.1 * 1.5**i for i in range(48)]
    many = sweep(dict.fromkeys(rates, 0.02))
    named = SweepTable(
        replace(many.record, asked=replace(many.record.asked, contrasts=["batch - none"])), many.trials, many.curves
    )
    corrected = robustness(named, "batch", "none")
    assert set(corrected["family"]) == {48}
    assert (corrected["answer"] == "unclear").all()


def test_no_choice_is_answered_at_a_learning_rate_at_its_grids_edge() -> None:
    table = sweep(dict.fromkeys([0.3, 1.0, 3.0], 0.02), tuning=(100,))  # 0.3 is the best
    rows = robustness(table, "batch", "none")
    rows = rows[rows["measure"] == names.TEST_ACC]
    assert dict(zip(rows["rates"], rows["answer"], strict=True)) == {"best": "unclear", 0.3: "a", 1.0: "a", 3.0: "a"}
