"""Steps to targets as a table holds them: hits, what was lost again, and the levels compared."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from bnbench.analysis import Analysis, SweepTable
from bnbench.analysis.censored import Ratio
from bnbench.analysis.steps import TargetSteps
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord

GRID = [0, 1, 2, 5, 10, 20, 50, 100]
TARGET = 0.9
META = {
    "name": "made_up",
    "id": "0",
    "compare": ["norm"],
    "contrasts": ["batch - none"],
    "tuning_seeds": [],
    "varied": ["norm", "seed"],
}


def trial(
    seed: int, accuracies: list[float], *, status: str = "finished", test: float = 0.9, **params: Any
) -> tuple[dict[str, Any], list[float]]:
    """A trial and its validation accuracies on the first points of GRID."""
    hits = [step for step, acc in zip(GRID, accuracies, strict=False) if acc >= TARGET]
    row = {
        "seed": seed,
        "status": status,
        "reason": "",
        "norm": "none",
        "data": "mnist_5k",
        "tuning": False,
        "training.steps": GRID[-1],
        names.TEST_ACC: test,
        names.reached(TARGET): float(bool(hits)),
        names.steps_to(TARGET): float(hits[0]) if hits else math.nan,
    }
    return row | params, accuracies


def table(trials: list[tuple[dict[str, Any], list[float]]], **meta: Any) -> SweepTable:
    rows = [{"key": f"k{i}", **row} for i, (row, _) in enumerate(trials)]
    curves = [
        {"key": f"k{i}", "step": step, "examples": step, names.VAL_ACC: acc}
        for i, (_, accuracies) in enumerate(trials)
        for step, acc in zip(GRID, accuracies, strict=False)
    ]
    columns = ["key", "step", "examples", names.VAL_ACC]
    return SweepTable(
        SweepRecord.from_json({**META, **meta}), pd.DataFrame(rows), pd.DataFrame(curves, columns=columns)
    )


LOW = [0.1] * 8
RISING = [0.1, 0.2, 0.3, 0.9, 0.92, 0.93, 0.94, 0.95]  # hits at 5
LATE = [0.1, 0.2, 0.3, 0.9, 0.8, 0.93, 0.94, 0.95]  # hits at 5, holds from 20
LOST = [0.1, 0.2, 0.3, 0.9, 0.92, 0.5, 0.4, 0.3]


def test_a_first_hit_and_a_sustained_one_are_told_apart() -> None:
    made = table([trial(0, RISING), trial(1, LATE), trial(2, LOST), trial(3, LOW)])
    assert TargetSteps(made).to_target(TARGET).tolist() == [5, 5, 5, math.inf]
    assert TargetSteps(made).to_target(TARGET, sustained=True).tolist() == [5, 20, math.inf, math.inf]


def test_a_diverged_trial_hit_what_it_hit_and_sustained_nothing() -> None:
    made = table([trial(0, RISING[:5], status="diverged"), trial(1, LOW[:3], status="diverged")])
    assert TargetSteps(made).to_target(TARGET).tolist() == [5, math.inf]
    assert TargetSteps(made).to_target(TARGET, sustained=True).tolist() == [math.inf, math.inf]


def test_a_diverged_trial_without_metrics_is_a_miss_and_one_without_a_run_says_nothing() -> None:
    nothing = {names.reached(TARGET): math.nan, names.steps_to(TARGET): math.nan}
    made = table(
        [trial(0, RISING), trial(1, [], status="diverged", **nothing), trial(2, [], status="missing", **nothing)]
    )
    assert TargetSteps(made).to_target(TARGET).tolist()[:2] == [5, math.inf]
    assert math.isnan(TargetSteps(made).to_target(TARGET).iloc[2])


def test_levels_are_compared_in_pairs_with_misses_at_the_budget() -> None:
    batch = [trial(seed, RISING, norm="batch") for seed in range(4)]
    none = [trial(seed, [*LOW[:7], 0.95]) for seed in range(3)] + [trial(3, LOW[:2], status="diverged")]
    (found,) = Analysis(table(none + batch)).contrast_steps("none", "batch", TARGET)
    assert found.comparison.kind == Ratio.at_least
    assert found.comparison.ratio is not None
    assert found.comparison.ratio.mean == pytest.approx(20)
    assert (found.comparison.reached_a, found.comparison.reached_b) == (3, 4)


def test_where_budgets_differ_the_smaller_one_counts() -> None:
    long = [trial(seed, [*LOW[:7], 0.95]) for seed in range(3)]
    short = [trial(seed, RISING[:7], norm="batch", **{"training.steps": 50}) for seed in range(3)]
    (found,) = Analysis(table(long + short)).contrast_steps("none", "batch", TARGET)
    assert (found.comparison.reached_a, found.comparison.kind) == (0, Ratio.at_least)
    assert found.comparison.ratio is not None
    assert found.comparison.ratio.mean == pytest.approx(50 / 5)


@pytest.mark.parametrize(
    ("a", "target", "complaint"),
    [
        ("batch", 0.5, "target 0.5 was not recorded in this sweep; it has 0.9"),
        ("layer", TARGET, "level 'layer' is not in this sweep; it compares none, batch"),
    ],
)
def test_what_is_not_in_the_sweep_is_refused(a: str, target: float, complaint: str) -> None:
    made = table([trial(0, RISING), trial(0, RISING, norm="batch")])
    with pytest.raises(ValueError, match=complaint):
        Analysis(made).contrast_steps(a, "none", target)
