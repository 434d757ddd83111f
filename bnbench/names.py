"""The names of every metric, tag and column, with their units and better direction; nothing else spells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ACC_BEST",
    "ACC_BEST_STEP",
    "ACC_CURVE_AREA",
    "CONDITIONS",
    "CURVES",
    "METRICS",
    "PARAMETERS",
    "STATISTICS",
    "STATUSES",
    "TEST_ACC",
    "TEST_ACC_ONE_BY_ONE",
    "TEST_LOSS",
    "TRAIN_ACC",
    "TRAIN_LOSS",
    "VAL_ACC",
    "VAL_ACC_BATCH",
    "VAL_LOSS",
    "Metric",
    "Tag",
    "examples_to",
    "metric",
    "reached",
    "steps_to",
    "test_acc_one_by_one_under",
    "test_acc_under",
]

TRAIN_LOSS = "train/loss"
TRAIN_ACC = "train/acc"
VAL_LOSS = "val/loss"
VAL_ACC = "val/acc"
VAL_ACC_BATCH = "val/acc_batch"
CURVES = (TRAIN_LOSS, TRAIN_ACC, VAL_LOSS, VAL_ACC, VAL_ACC_BATCH)
"""What is measured on the evaluation grid."""

TEST_ACC = "test/acc"
TEST_LOSS = "test/loss"
TEST_ACC_ONE_BY_ONE = "test/acc_one_by_one"
ACC_BEST = "val/acc_best"
ACC_BEST_STEP = "val/acc_best_step"
ACC_CURVE_AREA = "val/acc_curve_area"
PARAMETERS = "parameters/trainable"
STATISTICS = "parameters/running"

STATUSES = ("finished", "diverged", "undefined", "failed")
"""How a trial ends: trained to its budget; a non-finite loss; no result by definition; an error."""


@dataclass(frozen=True)
class Metric:
    """What a metric's number means."""

    unit: str
    better: Literal["higher", "lower", "neither"]
    meaning: str


METRICS = {
    TRAIN_LOSS: Metric("nats", "lower", "mean loss of the training batches since the evaluation before"),
    TRAIN_ACC: Metric("fraction", "higher", "accuracy on the training batches since the evaluation before"),
    VAL_LOSS: Metric("nats", "lower", "mean validation loss, under the statistics of norm.inference"),
    VAL_ACC: Metric("fraction", "higher", "validation accuracy, under the statistics of norm.inference"),
    VAL_ACC_BATCH: Metric("fraction", "higher", "validation accuracy, under the evaluation batch's own statistics"),
    TEST_ACC: Metric("fraction", "higher", "test accuracy after the last step, under the statistics of norm.inference"),
    TEST_LOSS: Metric("nats", "lower", "mean test loss after the last step, under the statistics of norm.inference"),
    TEST_ACC_ONE_BY_ONE: Metric("fraction", "higher", "accuracy on the first 100 test images, one at a time"),
    ACC_BEST: Metric("fraction", "higher", "best validation accuracy on the grid"),
    ACC_BEST_STEP: Metric("steps", "lower", "the first step with the best validation accuracy"),
    ACC_CURVE_AREA: Metric("fraction", "higher", "mean validation accuracy over the steps (trapezoids)"),
    PARAMETERS: Metric("numbers", "neither", "trainable parameters"),
    STATISTICS: Metric("numbers", "neither", "running statistics"),
}


def steps_to(target: float) -> str:
    """Optimizer steps to the first validation accuracy >= target; the budget where it was not reached."""
    return f"steps_to/val_acc_{target:g}"


def examples_to(target: float) -> str:
    """Training examples to the target: steps times batch size."""
    return f"examples_to/val_acc_{target:g}"


def reached(target: float) -> str:
    """1 where the target was reached within the budget, 0 where the steps are censored at it."""
    return f"reached/val_acc_{target:g}"


def test_acc_under(statistics: str) -> str:
    """Accuracy on the first 500 test images, in batches of 128, under one kind of statistics."""
    return f"{TEST_ACC}_{statistics}"


def test_acc_one_by_one_under(statistics: str) -> str:
    """Accuracy on the first 100 test images, one at a time, under one kind of statistics."""
    return f"{TEST_ACC_ONE_BY_ONE}_{statistics}"


def metric(key: str) -> Metric:
    """The meaning of a metric key, those with a target included.

    Raises:
        KeyError: If no metric has this name.
    """
    head, _, target = key.partition("/val_acc_")
    if target and head == "steps_to":
        return Metric("steps", "lower", f"steps to validation accuracy {target}; the budget if not reached")
    if target and head == "examples_to":
        return Metric("examples", "lower", f"examples to validation accuracy {target}; the budget if not reached")
    if target and head == "reached":
        return Metric("0 or 1", "higher", f"whether validation accuracy {target} was reached")
    for base, images in ((TEST_ACC_ONE_BY_ONE, "first 100 test images, one at a time"), (TEST_ACC, _IN_BATCHES)):
        if key not in METRICS and key.startswith(f"{base}_"):
            return Metric("fraction", "higher", f"accuracy on the {images}, under {key[len(base) + 1 :]} statistics")
    return METRICS[key]


_IN_BATCHES = "first 500 test images, in batches of at most 128"


class Tag:
    """MLflow tag keys."""

    KEY = "bnbench.key"
    KIND = "bnbench.kind"  # "trial" or "sweep"
    STATUS = "bnbench.status"  # one of STATUSES
    REASON = "bnbench.reason"
    SWEEP = "bnbench.sweep"
    SWEEP_ID = "bnbench.sweep_id"
    PACK = "bnbench.pack"
    SLOT = "bnbench.slot"
    PACK_WIDTH = "bnbench.pack_width"
    PACK_WALL_SECONDS = "bnbench.pack_wall_seconds"
    DATA_CHECKSUM = "bnbench.data_checksum"
    DEVICE = "bnbench.device"
    CPU_CAPABILITY = "bnbench.cpu_capability"  # the vector instructions that torch's kernels use
    BLAS = "bnbench.blas"
    THREADS = "bnbench.threads"  # of the process that trained
    VERIFIED = "bnbench.verified"  # of a sweep: what came of training its trials again, alone
    REPRODUCED = "bnbench.reproduced"  # likewise, in packs


CONDITIONS = (Tag.DEVICE, Tag.CPU_CAPABILITY, Tag.BLAS, Tag.THREADS)
"""The tags of a trial on which the rounding of its numbers depends, beside versions and data."""
