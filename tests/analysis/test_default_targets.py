"""Targets that no one set, judged by curves whose way is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from bnbench.analysis import Analysis, SweepTable
from bnbench.analysis.default_targets import with_default_targets
from bnbench.record import names
from bnbench.record.sweep_record import DefaultTargets, SweepRecord

GRID = [0, 10, 20, 40]


def sweep(finals: dict[str, list[float]], *, given: float | None = None, **more: Any) -> SweepTable:
    """Trials of two norms on own data of four equal classes; each climbs evenly from 0.25 to its last accuracy."""
    rows, curves = [], []
    for norm, accuracies in finals.items():
        for seed, last in enumerate(accuracies):
            key = f"{norm}{seed}"
            rows.append(
                {
                    "key": key,
                    "status": "finished",
                    "reason": "",
                    "tuning": seed >= 100,
                    "seed": seed,
                    "data": "arrays",
                    "model": "fc",
                    "norm": norm,
                    "training.steps": 40,
                    "training.batch_size": 8,
                    names.TEST_ACC: last,
                    names.VAL_ACC_FINAL: last,
                    names.LARGEST_CLASS: 0.25,
                    names.TEST_IMAGES: 1000.0,
                }
                | ({} if given is None else {names.reached(given): 0.0})
            )
            for index, step in enumerate(GRID):
                accuracy = 0.25 + (last - 0.25) * index / 3
                curves.append({"key": key, "step": step, "examples": 8 * step, names.VAL_ACC: accuracy})
    meta = {
        "name": "made_up",
        "id": "0",
        "compare": ["norm"],
        "contrasts": [],
        "tuning_seeds": [],
        "varied": ["norm", "seed"],
        **more,
    }
    return SweepTable(SweepRecord.from_json(meta), pd.DataFrame(rows), pd.DataFrame(curves))


def test_they_lie_at_fixed_shares_of_the_way_to_the_best_arms_mean() -> None:
    table = with_default_targets(sweep({"none": [0.4, 0.5], "batch": [0.95, 0.85]}))
    # From 0.25 to 0.9: half of the way is 0.575, nine tenths 0.835.
    chosen = DefaultTargets("arrays", "fc", chance=0.25, best=pytest.approx(0.9), targets=[0.57, 0.83])
    assert table.record.found_out.default_targets == [chosen]
    assert Analysis(table).targets == [0.57, 0.83]
    by_key = table.trials.set_index("key")
    assert by_key[names.reached(0.57)].to_dict() == {"none0": 0, "none1": 0, "batch0": 1, "batch1": 1}
    assert by_key.loc["batch0", names.steps_to(0.57)] == 20  # 0.25, 0.483, 0.717, 0.95
    assert by_key.loc["batch0", names.examples_to(0.83)] == 320
    assert by_key.loc[["none0", "none1"], names.steps_to(0.57)].isna().all()
    assert [arm.reaches[0.83].hits for arm in Analysis(table).arms if arm.level == "batch"] == [2]


def test_the_rule_does_not_know_which_arm_is_which() -> None:
    one = with_default_targets(sweep({"none": [0.4, 0.5], "batch": [0.95, 0.85]}))
    other = with_default_targets(sweep({"none": [0.95, 0.85], "batch": [0.4, 0.5]}))
    assert one.record.found_out.default_targets == other.record.found_out.default_targets


def test_trials_that_diverged_or_only_choose_learning_rates_do_not_set_them() -> None:
    table = sweep({"none": [0.45, 0.45], "batch": [0.65, 0.99, 0.99]})
    trials = table.trials.copy()
    trials.loc[trials["key"] == "batch1", "status"] = "diverged"
    trials.loc[trials["key"] == "batch2", "tuning"] = True
    table = with_default_targets(replace(table, trials=trials))
    assert table.record.found_out.default_targets[0].best == 0.65
    assert table.trials.set_index("key").loc["batch2", names.reached(0.61)] == 1, "they are told of all trials"


def test_where_no_arm_got_anywhere_there_are_none_and_it_is_said() -> None:
    table = with_default_targets(sweep({"none": [0.2], "batch": [0.25]}))
    assert table.record.found_out.default_targets[0].targets == Analysis(table).targets == []


def test_targets_that_were_set_or_refused_or_older_stores_are_left_alone() -> None:
    for table in (
        sweep({"none": [0.9], "batch": [0.9]}, given=0.95),
        sweep({"none": [0.9], "batch": [0.9]}, config={"training": {"targets": []}}),
        (lambda old: replace(old, trials=old.trials.drop(columns=names.VAL_ACC_FINAL)))(sweep({"none": [0.9]})),
    ):
        assert with_default_targets(table) is table
