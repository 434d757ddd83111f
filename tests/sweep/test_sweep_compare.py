"""No digit that differs is overlooked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.sweep.again.compare import compare, differences


def _result(**changes: Any) -> TrialResult:
    curves = {names.VAL_LOSS: [(0, 2.3), (1, 2.1), (5, 0.1)], names.TRAIN_LOSS: [(1, 2.25), (5, 0.5)]}
    result = TrialResult("k", {}, "finished", metrics={names.TEST_ACC: 0.9, names.TEST_LOSS: 0.3}, curves=curves)
    return replace(result, **changes)


_KNOWN = {names.TEST_ACC, names.TEST_LOSS, names.VAL_LOSS, names.TRAIN_LOSS}


def test_a_last_bit_in_any_number_is_a_difference_and_the_earliest_comes_first() -> None:
    now = _result(
        metrics={names.TEST_ACC: 0.9, names.TEST_LOSS: math.nextafter(0.3, 1)},
        curves={
            names.VAL_LOSS: [(0, 2.3), (1, 2.1), (5, math.nextafter(0.1, 1))],
            names.TRAIN_LOSS: [(1, 2.5), (5, 0.5)],
        },
    )
    assert differences(_result(), _result(), _KNOWN) == []
    assert list(map(str, differences(_result(), now, _KNOWN))) == [
        "train/loss at step 1: recorded 2.25, now 2.5, relative difference 0.1",
        "val/loss at step 5: recorded 0.1, now 0.10000000000000002, relative difference 1.4e-16",
        "test/loss: recorded 0.3, now 0.30000000000000004, relative difference 1.9e-16",
    ]


def test_a_number_that_is_there_only_once_is_a_difference() -> None:
    now = _result(metrics={names.TEST_ACC: 0.9})
    assert list(map(str, differences(_result(), now, _KNOWN))) == ["test/loss: recorded 0.3, now None"]
    assert list(map(str, differences(now, _result(), _KNOWN))) == ["test/loss: recorded None, now 0.3"]


def test_a_measure_newer_than_the_sweep_is_not_compared() -> None:
    now = _result(metrics={**_result().metrics, "test/brier": 0.1})
    assert differences(_result(), now, _KNOWN) == []


def test_another_step_of_divergence_is_a_difference() -> None:
    then = _result(status="diverged", diverged_step=7)
    assert [d.key for d in differences(then, replace(then, diverged_step=8), _KNOWN)] == ["diverged_step"]
    assert [d.key for d in differences(then, _result(), _KNOWN)] == ["diverged_step"]
    assert differences(then, replace(then), _KNOWN) == []


def test_a_trial_that_ends_otherwise_is_another_whatever_its_numbers() -> None:
    failed = TrialResult("k", {}, "failed", reason="Traceback\nMemoryError: no")
    found = compare(_result(), failed, _KNOWN, "float32")
    assert (found.verdict, found.first) == ("other", "recorded as finished, now failed: MemoryError: no")
    undefined = TrialResult("k", {}, "undefined", reason="one value per channel")
    assert compare(undefined, undefined, _KNOWN, "float32").verdict == "same"
    assert compare(undefined, _result(), _KNOWN, "float32").verdict == "other"


@pytest.mark.parametrize(
    ("precision", "factor", "verdict"),
    [("float32", 1 + 9e-4, "near"), ("float32", 1 + 2e-3, "other"), ("float64", 1 + 1e-6, "other")],
)
def test_another_device_is_held_to_the_first_loss_as_far_as_its_precision_goes(
    precision: str, factor: float, verdict: str
) -> None:
    cuda = _result(tags={names.Tag.DEVICE: "cuda"})
    curves = {**cuda.curves, names.VAL_LOSS: [(0, 2.3 * factor), (1, 9.9), (5, 0.1)]}
    assert compare(cuda, _result(curves=curves), _KNOWN, precision).verdict == verdict
    assert compare(_result(), _result(curves=curves), _KNOWN, precision).verdict == "other"
