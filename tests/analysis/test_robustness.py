"""Robustness: every defensible choice is made, and agreement with the main analysis is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import Analysis, Choice, SweepTable
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


def choices(table: SweepTable, a: str = "batch", b: str = "none") -> list[Choice]:
    """Of a sweep with one stratum, the learning rate apart."""
    (found,) = Analysis(table).robustness.choices(a, b)
    return found


def by(found: list[Choice], measure: str) -> list[Choice]:
    return [choice for choice in found if choice.measure == measure]


def test_every_choice_is_made_once() -> None:
    found = choices(sweep(dict.fromkeys(RATES, 0.02), tuning=(100,), batch_statistics=0.0))
    # Four accuracies and two kinds of steps, at the best and at three learning rates.
    assert len({(one.measure, one.sustained, one.rates) for one in found}) == len(found) == 6 * 4
    assert (found[0].measure, found[0].rates) == (names.TEST_ACC, "best")


def test_a_difference_that_is_always_there_holds_wherever_it_is_measured() -> None:
    found = choices(sweep(dict.fromkeys(RATES, 0.02)))
    for choice in by(found, names.TEST_ACC) + by(found, names.VAL_ACC):
        assert choice.holds
        assert choice.answer == "a"
        assert 0.015 < choice.advantage.mean < 0.025


def test_fewer_steps_are_an_advantage() -> None:
    for (a, b), gain in ((("batch", "none"), np.log(2)), (("none", "batch"), -np.log(2))):
        steps = by(choices(sweep({0.1: 0.02}), a, b), names.steps_to(TARGET))
        assert [choice.advantage.mean for choice in steps] == pytest.approx([gain, gain])


def test_a_difference_that_turns_with_the_learning_rate_does_not_hold_everywhere() -> None:
    test = by(choices(sweep({0.1: 0.02, 0.3: 0.01, 1.0: -0.03})), names.TEST_ACC)
    assert {choice.rates: choice.holds for choice in test} == {0.1: True, 0.3: True, 1.0: False}


def test_an_unclear_main_analysis_holds_nowhere() -> None:
    test = by(choices(sweep({0.1: 0.02, 0.3: 0.0, 1.0: -0.03})), names.TEST_ACC)
    assert test[0].rates == 0.3
    assert not any(choice.holds for choice in test)


def test_batch_statistics_are_one_more_choice_and_a_level_without_any_keeps_its_accuracy() -> None:
    found = choices(sweep({0.1: 0.02}, batch_statistics=-0.1))
    assert [choice.answer for choice in by(found, names.VAL_ACC)] == ["a"]
    assert [choice.answer for choice in by(found, names.VAL_ACC_BATCH)] == ["b"]
    assert by(choices(sweep({0.1: 0.02})), names.VAL_ACC_BATCH) == []


def first_hit(found: list[Choice]) -> Choice:
    (one,) = (choice for choice in by(found, names.steps_to(TARGET)) if not choice.sustained)
    return one


def test_misses_that_leave_a_bound_leave_an_answer() -> None:
    table = sweep({0.1: 0.02})
    trials = table.trials.copy()
    slow = (trials["norm"] == "none") & (trials["seed"] < 3)
    trials.loc[slow, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    found = first_hit(choices(replace(table, trials=trials)))
    assert (found.answer, found.advantage.high) == ("a", math.inf)


def failing(table: SweepTable, norm: str, *, seeds: int) -> SweepTable:
    """The sweep with so many trials of a norm at chance."""
    trials = table.trials.copy()
    lost = (trials["norm"] == norm) & (trials["seed"] < seeds)
    trials.loc[lost, names.TEST_ACC] = 0.1
    trials.loc[lost, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    return replace(table, trials=trials)


def test_where_trials_failed_their_successes_decide_in_place_of_every_accuracy() -> None:
    table = failing(sweep({0.1: 0.02}), "none", seeds=10)
    found = choices(table)
    assert found[0].successes == ((10, 10), (0, 10))
    assert (found[0].answer, found[0].holds, found[0].advantage.mean) == ("a", True, 1.0)
    assert by(found, names.VAL_ACC) == by(found, names.ACC_BEST) == []
    few = choices(failing(sweep({0.1: 0.02}), "none", seeds=1))[0]
    assert (few.answer, few.successes) == ("unclear", ((10, 10), (9, 10)))
    assert choices(table, "none", "batch")[0].answer == "b"


def test_where_misses_leave_no_ratio_the_trials_that_reached_the_target_decide() -> None:
    table = sweep({0.1: 0.0})
    trials = table.trials.copy()
    missed = ((trials["norm"] == "none") & (trials["seed"] < 9)) | ((trials["norm"] == "batch") & (trials["seed"] == 9))
    trials.loc[missed, [names.steps_to(TARGET), names.reached(TARGET)]] = [16.0, 0.0]
    found = first_hit(choices(replace(table, trials=trials)))
    assert (found.successes, found.answer) == (((9, 10), (1, 10)), "a")
    assert found.p == mcnemar_p(9, 1)


def test_each_choice_is_corrected_for_as_many_comparisons_as_the_main_analysis() -> None:
    """A difference that ten pairs show by itself is one of 48 that they cannot tell from chance."""
    alone = choices(sweep(dict.fromkeys(RATES, 0.02)))
    assert {choice.family for choice in alone} == {0}
    assert {choice.answer for choice in by(alone, names.TEST_ACC)} == {"a"}
    many = sweep(dict.fromkeys([0.1 * 1.5**i for i in range(48)], 0.02))
    asked = replace(many.record.asked, contrasts=["batch - none"])
    corrected = choices(replace(many, record=replace(many.record, asked=asked)))
    assert {(choice.family, choice.answer) for choice in corrected} == {(48, "unclear")}


def test_no_choice_is_answered_at_a_learning_rate_at_its_grids_edge() -> None:
    found = choices(sweep(dict.fromkeys([0.3, 1.0, 3.0], 0.02), tuning=(100,)))  # 0.3 is the best
    answers = {choice.rates: choice.answer for choice in by(found, names.TEST_ACC)}
    assert answers == {"best": "unclear", 0.3: "a", 1.0: "a", 3.0: "a"}
