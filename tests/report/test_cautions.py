"""What could mislead is said in the report."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.report.cautions import cautions


def told(table: Any) -> str:
    return "\n".join(cautions(table))


@pytest.mark.parametrize("status", ["diverged", "failed", "missing"])
def test_trials_that_are_in_no_accuracy_are_counted_and_placed(make_sweep: Any, status: str) -> None:
    table = make_sweep(status=lambda p, level: status if level == "none" and p["seed"] < 3 else "finished")
    assert "none (3 of 10)" in told(table)


def test_the_reason_of_undefined_trials_is_given(make_sweep: Any) -> None:
    table = make_sweep(status=lambda p, level: "finished" if level == "none" else "undefined")
    assert "20 trials undefined: batch size 1 leaves one value per channel" in told(table)


def test_a_key_that_moves_with_the_level_is_named(make_sweep: Any) -> None:
    table = make_sweep(meta={"varied": ["norm", "norm.placement", "training.batch_size", "seed"]})
    assert "batch size differs" not in told(table)
    table.trials.loc[table.trials["norm"] == "none", "training.batch_size"] = 8
    assert "batch size differs between the compared levels" in told(table)


def test_a_planned_contrast_that_was_not_run_is_named(make_sweep: Any) -> None:
    table = make_sweep(level_names=("none", "before"))
    assert "the planned before - none, after - none and after - before" in told(table)


def test_few_seeds_are_called_few(make_sweep: Any) -> None:
    assert "There are 3 seeds" in told(make_sweep(seeds=(0, 1, 2)))
    assert "There is one seed" in told(make_sweep(seeds=(0,)))


def test_uncommitted_code_is_mentioned(make_sweep: Any) -> None:
    assert "uncommitted" in told(make_sweep(meta={"git": {"commit": "abc", "dirty": True}}))
    assert "uncommitted" not in told(make_sweep())


def test_the_sweeps_own_notes_are_passed_on(make_sweep: Any) -> None:
    assert "Two kinds of processor." in cautions(make_sweep(meta={"notes": ["Two kinds of processor."]}))


def test_the_number_of_uncorrected_intervals_is_stated(make_sweep: Any) -> None:
    assert "9 intervals of differences" in told(make_sweep(axes={"optimizer.lr": (0.1, 0.3, 1.0)}))
