"""The names of every metric, tag and column, with their units and better direction; nothing else spells them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

EVALUATION_BATCH = 128
"""The largest number of images in one forward pass of an evaluation; batch statistics are of such a batch."""

IN_BATCHES = 500
"""Number of test images on which kinds of statistics are compared."""

TRAIN_LOSS = "train/loss"
TRAIN_ACC = "train/acc"
VAL_LOSS = "val/loss"
VAL_ACC = "val/acc"
VAL_ACC_BATCH = "val/acc_batch"
CURVES = (TRAIN_LOSS, TRAIN_ACC, VAL_LOSS, VAL_ACC, VAL_ACC_BATCH)
"""The metrics with a value at each step of the evaluation grid; validation is on `images/val_curve` images."""

GRADIENT_SLOPE = "gradient/log10_slope"
GRADIENT_FIRST = "gradient/first"
GRADIENT_LAST = "gradient/last"
GRADIENT_MAX = "gradient/max"
GRADIENT_BIAS = "gradient/bias"
_LAYER_GRADIENT = "gradient/layer_"
ACTIVATION_PERCENTILES = {15: "activation/p15", 50: "activation/p50", 85: "activation/p85"}
ACTIVATION_LARGEST = "activation/largest"
ACTIVATION_SATURATED = "activation/saturated"
ACTIVATION_DEAD = "activation/dead"
ACTIVATION_DRIFT_PERCENTILES = "activation/drift_percentiles"
ACTIVATION_DRIFT_MEAN = "activation/drift_mean"
ACTIVATION_DRIFT_VARIANCE = "activation/drift_variance"
WEIGHT_NORM = "weights/norm"
EFFECTIVE_LR = "weights/effective_lr"
SHIFT_DISTANCE = "shift/distance"
SHIFT_COSINE = "shift/cosine"
LOSS_RANGE = "smoothness/loss_range"
GRADIENT_RANGE = "smoothness/gradient_range"
EFFECTIVE_BETA = "smoothness/effective_beta"
POPULATION_GAP = "population/gap"
LAST_HIDDEN_RANK = "rank/last_hidden"
LAST_BATCH_LOSS = "last_batch/loss"
LAST_BATCH_ACC = "last_batch/acc"
HESSIAN_LARGEST = "hessian/largest"
HESSIAN_SMALLEST = "hessian/smallest"
HESSIAN_CONDITION = "hessian/condition"

VAL_ACC_FINAL = "val/acc_final"
VAL_LOSS_FINAL = "val/loss_final"
TEST_ACC = "test/acc"
TEST_LOSS = "test/loss"
TEST_ACC_ONE_BY_ONE = "test/acc_one_by_one"
ACC_BEST = "val/acc_best"
ACC_BEST_STEP = "val/acc_best_step"
ACC_CURVE_AREA = "val/acc_curve_area"
PARAMETERS = "parameters/trainable"
STATISTICS = "parameters/running"
VAL_IMAGES = "images/val"
VAL_IMAGES_CURVE = "images/val_curve"
TEST_IMAGES = "images/test"
LARGEST_CLASS = "images/largest_class"

STATUSES = ("finished", "diverged", "undefined", "failed")
"""How a trial ends: trained to its budget, with a non-finite loss, without a result by definition, or with an error."""


class TestShift(StrEnum):
    """How test images are changed."""

    __test__ = False  # keeps pytest from collecting the class as tests

    contrast = "contrast"
    brightness = "brightness"
    noise = "noise"
    rotation = "rotation"


@dataclass(frozen=True)
class Metric:
    """What a metric's number means."""

    unit: str
    better: Literal["higher", "lower", "neither"]
    meaning: str


_CURVE_IMAGES = "on the first images/val_curve validation images"
_FINAL_IMAGES = "after the last step, on all validation images, under the statistics of norm.inference"

METRICS = {
    TRAIN_LOSS: Metric("nats", "lower", "mean loss of the training batches since the evaluation before"),
    TRAIN_ACC: Metric("fraction", "higher", "accuracy on the training batches since the evaluation before"),
    VAL_LOSS: Metric("nats", "lower", f"mean validation loss, {_CURVE_IMAGES}, under the statistics of norm.inference"),
    VAL_ACC: Metric(
        "fraction", "higher", f"validation accuracy, {_CURVE_IMAGES}, under the statistics of norm.inference"
    ),
    VAL_ACC_BATCH: Metric("fraction", "higher", "validation accuracy, under the evaluation batch's own statistics"),
    VAL_ACC_FINAL: Metric("fraction", "higher", f"validation accuracy {_FINAL_IMAGES}"),
    VAL_LOSS_FINAL: Metric("nats", "lower", f"mean validation loss {_FINAL_IMAGES}"),
    TEST_ACC: Metric("fraction", "higher", "test accuracy after the last step, under the statistics of norm.inference"),
    TEST_LOSS: Metric("nats", "lower", "mean test loss after the last step, under the statistics of norm.inference"),
    TEST_ACC_ONE_BY_ONE: Metric("fraction", "higher", "accuracy on the first 100 test images, one at a time"),
    ACC_BEST: Metric("fraction", "higher", "best validation accuracy on the grid, on the curve's images"),
    ACC_BEST_STEP: Metric("steps", "lower", "the first step with the best validation accuracy"),
    ACC_CURVE_AREA: Metric(
        "fraction", "higher", "mean validation accuracy over the steps (trapezoids), on the curve's images"
    ),
    PARAMETERS: Metric("numbers", "neither", "trainable parameters"),
    STATISTICS: Metric("numbers", "neither", "running statistics"),
    VAL_IMAGES: Metric("images", "neither", "all validation images: what the last evaluation is on"),
    VAL_IMAGES_CURVE: Metric("images", "neither", "validation images that each evaluation along the curve is on"),
    TEST_IMAGES: Metric("images", "neither", "test images"),
    LARGEST_CLASS: Metric("fraction", "neither", "share of the test images that are of their largest class"),
}

_MEASURED = {
    GRADIENT_SLOPE: Metric(
        "decades a layer", "neither", "slope of log10 gradient norm with depth, over hidden layers but the first"
    ),
    GRADIENT_FIRST: Metric("loss / weight", "neither", "norm of the loss's gradient by the first layer's weights"),
    GRADIENT_LAST: Metric("loss / weight", "neither", "norm of the loss's gradient by the last hidden layer's weights"),
    GRADIENT_MAX: Metric("loss / weight", "neither", "largest of the layers' gradient norms, the head's included"),
    GRADIENT_BIAS: Metric("loss / bias", "neither", "norm of the gradient by all biases of hidden layers"),
    **{
        key: Metric("activation", "neither", f"percentile {q} of the input of the last hidden layer's first unit")
        for q, key in ACTIVATION_PERCENTILES.items()
    },
    ACTIVATION_LARGEST: Metric("activation", "neither", "largest absolute input of any hidden unit"),
    ACTIVATION_SATURATED: Metric("fraction", "lower", "inputs of hidden units beyond ±4, mean over layers"),
    ACTIVATION_DEAD: Metric("fraction", "lower", "hidden units with one output for all images, mean over layers"),
    ACTIVATION_DRIFT_PERCENTILES: Metric(
        "spreads", "lower", "change of the units' percentiles 15, 50, 85 since measured before, over 85 - 15 then"
    ),
    ACTIVATION_DRIFT_MEAN: Metric(
        "standard deviations",
        "lower",
        "change of the units' mean inputs since measured before, over their deviation",
    ),
    ACTIVATION_DRIFT_VARIANCE: Metric(
        "fraction", "lower", "change of the units' input variances since measured before, over the variance then"
    ),
    WEIGHT_NORM: Metric("weight", "neither", "norm of a hidden layer's weights, mean over layers"),
    EFFECTIVE_LR: Metric(
        "1 / weight²", "neither", "learning rate / squared norm of a hidden layer's weights, mean over layers"
    ),
    LAST_HIDDEN_RANK: Metric(
        "directions", "higher", "tr(M)² / ‖M‖² with M the second moments of the last hidden layer's features"
    ),
    POPULATION_GAP: Metric(
        "fraction", "lower", "validation accuracy under the training images' statistics less that under running ones"
    ),
    SHIFT_DISTANCE: Metric(
        "loss / weight", "lower", "change of a layer's gradient when the layers below take a step, mean over layers"
    ),
    SHIFT_COSINE: Metric(
        "cosine", "higher", "of a layer's gradients before and after the layers below take a step, mean over layers"
    ),
    LOSS_RANGE: Metric("nats", "lower", "largest less smallest loss at 1/2, 1, 2 and 4 times the next step"),
    GRADIENT_RANGE: Metric("loss / weight", "lower", "largest change of the gradient over the same stretch"),
    EFFECTIVE_BETA: Metric("loss / weight²", "lower", "largest change of the gradient over the distance moved"),
    HESSIAN_LARGEST: Metric("loss / weight²", "neither", "largest eigenvalue of the training loss's Hessian"),
    HESSIAN_SMALLEST: Metric("loss / weight²", "neither", "smallest eigenvalue of the training loss's Hessian"),
    HESSIAN_CONDITION: Metric(
        "ratio", "lower", "largest eigenvalue of the training loss's Hessian over their mean, roughly"
    ),
    LAST_BATCH_LOSS: Metric("nats", "lower", "mean loss of the batch just trained on, in inference mode"),
    LAST_BATCH_ACC: Metric("fraction", "higher", "accuracy on the batch just trained on, in inference mode"),
}
METRICS |= _MEASURED

MEASURED_CURVES = tuple(_MEASURED)
"""The metrics that `training.measures` can add on a part of the grid, beside each layer's `layer_gradient`."""


def is_curve(key: str) -> bool:
    """Whether a metric has a value at several steps, rather than one at the end."""
    return key in CURVES or key in _MEASURED or is_layer_gradient(key)


def layer_gradient(layer: int) -> str:
    """The key of the norm of the loss's gradient by a layer's weights; layers count from 1, the head is the last."""
    return f"{_LAYER_GRADIENT}{layer:02d}"


def is_layer_gradient(key: str) -> bool:
    """Whether a metric is the gradient's norm at one layer."""
    return key.startswith(_LAYER_GRADIENT)


def steps_to(target: float) -> str:
    """The key of the optimizer steps to the first validation accuracy >= target; no value where it was missed."""
    return f"steps_to/val_acc_{target:g}"


def seconds_per_step(arm: str) -> str:
    """The key, in a timing's run, of the seconds of one training step of an arm's lone trial, by round."""
    return f"seconds_per_step/{arm}"


def examples_to(target: float) -> str:
    """The key of the training examples to the target: steps times batch size."""
    return f"examples_to/val_acc_{target:g}"


def reached(target: float) -> str:
    """The key of whether the target was reached within the budget, `training.steps`: 1 if so, 0 if not."""
    return f"reached/val_acc_{target:g}"


def test_acc_under(statistics: str) -> str:
    """The key of the accuracy on the first `IN_BATCHES` test images, in batches, under one kind of statistics."""
    return f"{TEST_ACC}_{statistics}"


def test_acc_one_by_one_under(statistics: str) -> str:
    """The key of the accuracy on the first 100 test images, one at a time, under one kind of statistics."""
    return f"{TEST_ACC_ONE_BY_ONE}_{statistics}"


def test_acc_shift(shift: str, statistics: str) -> str:
    """The key of the accuracy on the `IN_BATCHES` images under a shift, in batches, under one kind of statistics."""
    return f"{TEST_ACC}_shift_{shift}_{statistics}"


def test_acc_drop(shift: str, statistics: str) -> str:
    """The key of the accuracy that a shift costs: that of the unchanged images less that of the changed ones."""
    return f"{TEST_ACC}_drop_{shift}_{statistics}"


def metric(key: str) -> Metric:
    """What the metric with this key means; a key may also name a target, a layer, or a kind of statistics.

    Raises:
        KeyError: If no metric has this name.
    """
    if is_layer_gradient(key):
        layer = int(key.removeprefix(_LAYER_GRADIENT))
        return Metric("loss / weight", "neither", f"norm of the loss's gradient by the weights of layer {layer}")
    head, _, target = key.partition("/val_acc_")
    if target and head == "steps_to":
        return Metric(
            "steps", "lower", f"steps to validation accuracy {target} on the curve's images; none if not reached"
        )
    if target and head == "examples_to":
        return Metric("examples", "lower", f"examples to validation accuracy {target}; none if not reached")
    if target and head == "reached":
        return Metric("0 or 1", "higher", f"whether validation accuracy {target} was reached")
    for statistics, shift in itertools.product(("running", "batch"), TestShift):
        under = f"under a shift of {shift}, {statistics} statistics"
        if key == test_acc_shift(shift, statistics):
            return Metric("fraction", "higher", f"accuracy on the {_IN_BATCHES}, {under}")
        if key == test_acc_drop(shift, statistics):
            return Metric("fraction", "lower", f"accuracy lost on the {_IN_BATCHES}, {under}")
    for base, images in ((TEST_ACC_ONE_BY_ONE, "first 100 test images, one at a time"), (TEST_ACC, _IN_BATCHES)):
        if key not in METRICS and key.startswith(f"{base}_"):
            return Metric("fraction", "higher", f"accuracy on the {images}, under {key[len(base) + 1 :]} statistics")
    return METRICS[key]


_IN_BATCHES = f"first {IN_BATCHES} test images, in batches of at most {EVALUATION_BATCH}"


class Tag:
    """MLflow tag keys."""

    KEY = "bnbench.key"
    KIND = "bnbench.kind"  # "trial", "sweep", "timing", or "mean" (a run of means, for a sweep's charts)
    STATUS = "bnbench.status"  # one of STATUSES
    REASON = "bnbench.reason"
    SWEEP = "bnbench.sweep"
    SWEEP_ID = "bnbench.sweep_id"
    SWEEPS = "bnbench.sweeps"  # ids of all sweeps that list the trial, the one that trained it first
    ARM = "bnbench.arm"  # the trial's arm in words, in the sweep that trained it
    LEVEL = "bnbench.level"  # of a run of means: its compared level, such as "before"
    CHARTS = "bnbench.charts"  # of a run of means: the version of its sweep's charts that it belongs to
    NORM = "bnbench.norm"  # the norm and its placement, such as "batch before"
    COMMAND = "bnbench.command"
    VERSIONS = "bnbench.versions"
    CPU = "bnbench.cpu"  # of a trial: of the host that trained it
    HOST = "bnbench.host"  # the name of that host
    LAUNCHER = "bnbench.launcher"  # what ran its pack: "joblib", "ray", "slurm", "processes"
    PACK = "bnbench.pack"
    PARENT = "mlflow.parentRunId"  # MLflow's own: the sweep's run
    ATTEMPT = "bnbench.attempt"  # which attempt it is, only for a trial whose pack failed before
    FAILED_BEFORE = "bnbench.failed_before"  # of such a trial: the last line of the first error
    ANEW = "bnbench.anew"  # trained with resume=false: recorded beside an earlier run of the same trial
    SLOT = "bnbench.slot"
    PACK_WIDTH = "bnbench.pack_width"
    ALONE = "bnbench.alone"  # whether the trial was trained alone in plain torch, as it cannot be packed
    PACK_WALL_SECONDS = "bnbench.pack_wall_seconds"
    DATA_CHECKSUM = "bnbench.data_checksum"
    DEVICE = "bnbench.device"
    CPU_CAPABILITY = "bnbench.cpu_capability"  # the vector instructions that torch's kernels use
    BLAS = "bnbench.blas"
    KERNELS = "bnbench.kernels"  # environment variables that choose kernels, such as "ONEDNN_MAX_CPU_ISA=AVX2"
    THREADS = "bnbench.threads"  # number of threads of the process that trained
    VERIFIED = "bnbench.verified"  # of a sweep: the result of training its trials again, alone
    REPRODUCED = "bnbench.reproduced"  # of a sweep: the result of training its trials again, in packs
    SEEDS = "bnbench.seeds"  # the reporting seeds a sweep plans, as a JSON list
    HEADLINES = "bnbench.headlines"  # of a sweep: its answers when it ended, as a JSON list of sentences
    LOADED = "bnbench.loaded"  # of a sweep loaded from a file: "begun", then "done" once all of it is in the store
    CLAIM = "bnbench.claim."  # followed by a claim's id: the claim's hash before the sweep ran


CONDITIONS = (Tag.DEVICE, Tag.CPU_CAPABILITY, Tag.BLAS, Tag.KERNELS, Tag.THREADS)
"""The tags of a trial on which the rounding of its numbers depends, beside versions and data."""
