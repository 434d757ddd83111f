"""Arms and differences: failures are counted, and never averaged away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bnbench.analysis import Analysis, Arm, SweepTable
from bnbench.analysis.arms import Reach
from bnbench.analysis.outcomes import Outcomes
from bnbench.record import names

BATCH = {"norm": "batch"}
STEPS, REACHED = names.steps_to(0.9), names.reached(0.9)


def arms(table: SweepTable) -> list[Arm]:
    return Analysis(table).arms


def hit(steps: float) -> dict[str, float]:
    return {STEPS: steps, REACHED: 1.0}


MISS = {STEPS: math.nan, REACHED: 0.0}


def test_an_unreached_target_is_never_averaged_over_successes_only(table_of: Any) -> None:
    rows = [{"seed": s, **hit(10.0)} for s in range(4)] + [{"seed": s, **MISS} for s in range(4, 10)]
    (arm,) = arms(table_of(rows))
    assert arm.reaches == {0.9: Reach(4, 10, math.inf)}
    assert (arm.row[REACHED], arm.row["counted/val_acc_0.9"], arm.row[STEPS]) == (4, 10, math.inf)


def test_median_steps_count_a_miss_as_infinite(table_of: Any) -> None:
    rows = [{"seed": s, **hit(10.0 * (s + 1))} for s in range(3)] + [{"seed": s, **MISS} for s in (3, 4)]
    assert arms(table_of(rows))[0].reaches[0.9].median_steps == 30  # of 10, 20, 30, inf, inf


@pytest.mark.parametrize("recorded", [{}, MISS], ids=["without metrics", "missed"])
def test_a_diverged_trial_did_not_reach_the_target(table_of: Any, recorded: dict[str, float]) -> None:
    rows = [{"seed": 0, **hit(10.0)}] + [
        {"seed": s, "status": "diverged", names.TEST_ACC: math.nan, **recorded} for s in (1, 2)
    ]
    (arm,) = arms(table_of(rows))
    assert arm.reaches == {0.9: Reach(1, 3, math.inf)}


def test_a_diverged_trials_accuracy_is_in_no_mean(table_of: Any) -> None:
    rows: list[dict[str, Any]] = [{"seed": 0, names.TEST_ACC: 0.9}, {"seed": 1, names.TEST_ACC: 0.94}]
    rows += [{"seed": 2, "status": "diverged", names.TEST_ACC: 0.1}]
    (arm,) = arms(table_of(rows))
    assert (arm.accuracy.n, arm.outcomes.planned, arm.outcomes.diverged) == (2, 3, 1)
    assert arm.accuracy.mean == pytest.approx(0.92)


def test_every_outcome_is_counted(table_of: Any) -> None:
    statuses = ["finished", "diverged", "undefined", "failed", "missing", "missing"]
    (arm,) = arms(table_of([{"seed": i, "status": s} for i, s in enumerate(statuses)]))
    assert arm.outcomes == Outcomes(planned=6, finished=1, diverged=1, undefined=1, failed=1, missing=2)


def test_a_target_of_another_model_does_not_count(table_of: Any) -> None:
    rows = [{"model": "fc", **hit(10.0)}, {"model": "cnn"}]
    fc, cnn = arms(table_of(rows, varied=["model", "seed"]))
    assert (fc.reaches[0.9].n, cnn.reaches[0.9].n) == (1, 0)
    assert math.isnan(cnn.reaches[0.9].median_steps)
    assert math.isnan(cnn.row[REACHED])


def test_an_arm_without_any_finished_trial_has_a_row_and_no_accuracy(table_of: Any) -> None:
    table = table_of([{"status": "undefined", names.TEST_ACC: math.nan}])
    assert math.isnan(arms(table)[0].accuracy.mean)


def test_tuning_seeds_are_in_no_arm(table_of: Any) -> None:
    table = table_of([{"seed": 0}, {"seed": 100, names.TEST_ACC: 0.1}], tuning_seeds=[100])
    (arm,) = arms(table)
    assert (arm.outcomes.planned, arm.accuracy.mean) == (1, 0.9)


def test_strata_stand_in_numeric_order(table_of: Any) -> None:
    table = table_of([{"optimizer.lr": lr} for lr in (1.0, 0.03, 0.3)], varied=["optimizer.lr"])
    assert [arm.where["optimizer.lr"] for arm in arms(table)] == [0.03, 0.3, 1.0]


def test_differences_pair_by_seed_within_a_stratum(table_of: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 6)
    rows = [
        {"seed": s, "optimizer.lr": lr, names.TEST_ACC: 0.5 + noise[s] + gain} | norm
        for lr, effect in ((0.1, 0.01), (0.3, -0.02))
        for norm, gain in (({}, 0.0), (BATCH, effect))
        for s in range(6)
    ]
    found = Analysis(table_of(rows, varied=["optimizer.lr", "norm", "seed"])).differences
    assert [(one.a, one.b, one.n) for one in found] == [("batch", "none", 6)] * 2
    assert [one.interval.mean for one in found] == pytest.approx([0.01, -0.02])
    assert [one.interval.low for one in found] == [None, None]  # the noise is the seed's alone, so all pairs are equal


def test_a_pair_needs_both_trials_finished(table_of: Any) -> None:
    rows = [{"seed": s} for s in range(3)] + [
        {"seed": s, names.TEST_ACC: 0.95, "status": status} | BATCH
        for s, status in enumerate(["finished", "diverged", "finished"])
    ]
    (found,) = Analysis(table_of(rows)).differences
    assert found.n == 2
    assert found.descriptive
    assert [side.outcomes.diverged for side in found.sides] == [1, 0]


def test_an_interval_ends_where_no_accuracy_can_lie(table_of: Any) -> None:
    rows: list[dict[str, Any]] = [{"seed": s, names.TEST_ACC: acc} for s, acc in enumerate([0.9, 1.0])]
    rows += [{"seed": s, names.TEST_ACC: acc} | BATCH for s, acc in enumerate([0.0, 0.3])]
    table = table_of(rows)
    assert [arm.accuracy.high for arm in arms(table)] == [1, 1]
    assert [arm.accuracy.low for arm in arms(table)] == [pytest.approx(0.95 - 12.706 * 0.05, abs=1e-4), 0]
    assert [one.interval.low for one in Analysis(table).differences] == [-1]


def test_contrasts_are_the_sweeps_own_as_far_as_it_has_their_levels(table_of: Any) -> None:
    table = table_of([{}, BATCH, {"norm": "layer"}], contrasts=["batch - none", "group - none"])
    assert Analysis(table).pairs == [("batch", "none")]


def test_without_contrasts_all_pairs_are_shown(table_of: Any) -> None:
    table = table_of([{}, BATCH, {"norm": "layer"}])
    assert Analysis(table).pairs == [("batch", "none"), ("layer", "none"), ("layer", "batch")]


def test_many_levels_without_contrasts_are_each_compared_with_the_first(table_of: Any) -> None:
    table = table_of([{"norm": "rms"}, {}, BATCH, {"norm": "layer"}, {"norm": "group"}])
    assert Analysis(table).pairs == [("rms", "none"), ("batch", "none"), ("layer", "none"), ("group", "none")]
