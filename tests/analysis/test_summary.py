"""Arms and differences: failures are counted, and never averaged away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bnbench.analysis import arms, contrasts, differences
from bnbench.analysis.summary import counted
from bnbench.record import names

BATCH = {"norm": "batch"}
STEPS, REACHED = names.steps_to(0.9), names.reached(0.9)


def hit(steps: float) -> dict[str, float]:
    return {STEPS: steps, REACHED: 1.0}


MISS = {STEPS: math.nan, REACHED: 0.0}


def test_an_unreached_target_is_never_averaged_over_successes_only(table_of: Any) -> None:
    rows = [{"seed": s, **hit(10.0)} for s in range(4)] + [{"seed": s, **MISS} for s in range(4, 10)]
    arm = arms(table_of(rows)).iloc[0]
    assert (arm[REACHED], arm[counted(0.9)]) == (4, 10)
    assert math.isinf(arm[STEPS])


def test_median_steps_count_a_miss_as_infinite(table_of: Any) -> None:
    rows = [{"seed": s, **hit(10.0 * (s + 1))} for s in range(3)] + [{"seed": s, **MISS} for s in (3, 4)]
    assert arms(table_of(rows)).iloc[0][STEPS] == 30  # of 10, 20, 30, inf, inf


@pytest.mark.parametrize("recorded", [{}, MISS], ids=["without metrics", "missed"])
def test_a_diverged_trial_did_not_reach_the_target(table_of: Any, recorded: dict[str, float]) -> None:
    rows = [{"seed": 0, **hit(10.0)}] + [
        {"seed": s, "status": "diverged", names.TEST_ACC: math.nan, **recorded} for s in (1, 2)
    ]
    arm = arms(table_of(rows)).iloc[0]
    assert (arm[REACHED], arm[counted(0.9)]) == (1, 3)
    assert math.isinf(arm[STEPS])


def test_a_diverged_trials_accuracy_is_in_no_mean(table_of: Any) -> None:
    rows: list[dict[str, Any]] = [{"seed": 0, names.TEST_ACC: 0.9}, {"seed": 1, names.TEST_ACC: 0.94}]
    rows += [{"seed": 2, "status": "diverged", names.TEST_ACC: 0.1}]
    arm = arms(table_of(rows)).iloc[0]
    assert (arm["n"], arm["planned"], arm["diverged"]) == (2, 3, 1)
    assert arm["mean"] == pytest.approx(0.92)


def test_every_outcome_is_counted(table_of: Any) -> None:
    statuses = ["finished", "diverged", "undefined", "failed", "missing", "missing"]
    arm = arms(table_of([{"seed": i, "status": s} for i, s in enumerate(statuses)])).iloc[0]
    assert arm[["planned", "finished", "diverged", "undefined", "failed", "missing"]].tolist() == [
        6,
        1,
        1,
        1,
        1,
        2,
    ]


def test_a_target_of_another_model_does_not_count(table_of: Any) -> None:
    rows = [{"model": "fc", **hit(10.0)}, {"model": "cnn"}]
    fc, cnn = (row for _, row in arms(table_of(rows, varied=["model", "seed"])).iterrows())
    assert (fc[counted(0.9)], cnn[counted(0.9)]) == (1, 0)
    assert math.isnan(cnn[STEPS])


def test_an_arm_without_any_finished_trial_has_a_row_and_no_accuracy(table_of: Any) -> None:
    table = table_of([{"status": "undefined", names.TEST_ACC: math.nan}])
    assert math.isnan(arms(table).iloc[0]["mean"])


def test_tuning_seeds_are_in_no_arm(table_of: Any) -> None:
    table = table_of([{"seed": 0}, {"seed": 100, names.TEST_ACC: 0.1}], tuning_seeds=[100])
    assert arms(table).iloc[0][["planned", "mean"]].tolist() == [1, 0.9]


def test_strata_stand_in_numeric_order(table_of: Any) -> None:
    table = table_of([{"optimizer.lr": lr} for lr in (1.0, 0.03, 0.3)], varied=["optimizer.lr"])
    assert arms(table)["optimizer.lr"].tolist() == [0.03, 0.3, 1.0]


def test_differences_pair_by_seed_within_a_stratum(table_of: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 6)
    rows = [
        {"seed": s, "optimizer.lr": lr, names.TEST_ACC: 0.5 + noise[s] + gain} | norm
        for lr, effect in ((0.1, 0.01), (0.3, -0.02))
        for norm, gain in (({}, 0.0), (BATCH, effect))
        for s in range(6)
    ]
    found = differences(table_of(rows, varied=["optimizer.lr", "norm", "seed"]))
    assert found[["a", "b", "n"]].to_numpy().tolist() == [["batch", "none", 6]] * 2
    assert found["mean"].tolist() == pytest.approx([0.01, -0.02])
    assert found["low"].isna().all()  # the noise is the seed's alone, so all pairs are equal


def test_a_pair_needs_both_trials_finished(table_of: Any) -> None:
    rows = [{"seed": s} for s in range(3)] + [
        {"seed": s, names.TEST_ACC: 0.95, "status": status} | BATCH
        for s, status in enumerate(["finished", "diverged", "finished"])
    ]
    row = differences(table_of(rows)).iloc[0]
    assert row["n"] == 2
    assert row["descriptive"]
    assert (row["diverged_a"], row["diverged_b"]) == (1, 0)


def test_an_interval_ends_where_no_accuracy_can_lie(table_of: Any) -> None:
    rows: list[dict[str, Any]] = [{"seed": s, names.TEST_ACC: acc} for s, acc in enumerate([0.9, 1.0])]
    rows += [{"seed": s, names.TEST_ACC: acc} | BATCH for s, acc in enumerate([0.0, 0.3])]
    table = table_of(rows)
    assert arms(table)["high"].tolist() == [1, 1]
    assert arms(table)["low"].tolist() == [pytest.approx(0.95 - 12.706 * 0.05, abs=1e-4), 0]
    assert differences(table)["low"].tolist() == [-1]


def test_contrasts_are_the_sweeps_own_as_far_as_it_has_their_levels(table_of: Any) -> None:
    table = table_of([{}, BATCH, {"norm": "layer"}], contrasts=["batch - none", "group - none"])
    assert contrasts(table) == [("batch", "none")]


def test_without_contrasts_all_pairs_are_shown(table_of: Any) -> None:
    table = table_of([{}, BATCH, {"norm": "layer"}])
    assert contrasts(table) == [("batch", "none"), ("layer", "none"), ("layer", "batch")]


def test_many_levels_without_contrasts_are_each_compared_with_the_first(table_of: Any) -> None:
    table = table_of([{"norm": "rms"}, {}, BATCH, {"norm": "layer"}, {"norm": "group"}])
    assert contrasts(table) == [("rms", "none"), ("batch", "none"), ("layer", "none"), ("group", "none")]
