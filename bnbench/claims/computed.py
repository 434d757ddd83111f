"""Tests decided by algebra or counting: computed in double precision, or read off the recorded counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from bnbench.claims.claim import Test, Verdict
from bnbench.claims.decide import Finding
from bnbench.claims.values import NoDataError
from bnbench.config import ModelConfig
from bnbench.data import DATASETS
from bnbench.models.geometry import norm_sites
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable
from bnbench.reference import BatchNormState, batchnorm_backward, batchnorm_forward, torch_state

_ROUNDING = 1e-9  # largest rounding error allowed for values of order 1, in double precision
_N, _C = 64, 8


def compute(test: Test, table: SweepTable) -> Finding:
    """The finding of one of `claim_files.CHECKS`: exact if it holds up to rounding, refuted if not.

    Raises:
        NoDataError: If the check needs counts that the table does not have.
    """
    holds, note = _CHECKS[test.check](table)
    return Finding(dict(test.where), Verdict.exact if holds else Verdict.refuted, note=note)


def _bias_before_batch_norm(table: SweepTable) -> tuple[bool, str]:
    """Right before batch norm a bias changes no output and has gradient 0; with a ReLU between them it counts."""
    rng = np.random.Generator(np.random.PCG64(1502))
    x, bias, upstream = rng.standard_normal((_N, _C)), rng.standard_normal(_C), rng.standard_normal((_N, _C))
    gamma, beta = rng.uniform(0.5, 2, _C), rng.standard_normal(_C)
    plain, _ = batchnorm_forward(x, gamma, beta, _state())
    shifted, cache = batchnorm_forward(x + bias, gamma, beta, _state())
    gradient = batchnorm_backward(upstream, cache)[0].sum(axis=0)
    error = max(_largest(shifted - plain), _largest(gradient))
    after = [batchnorm_forward(np.maximum(z, 0), gamma, beta, _state())[0] for z in (x, x + bias)]
    counts = _largest(after[1] - after[0])
    note = (
        f"before the activation the bias changes the output, and gets a gradient, of at most {error:.0e}; "
        f"after a ReLU it changes the output by up to {counts:.1f}"
    )
    return error <= _ROUNDING and counts > _ROUNDING, note


def _batch_of_one(table: SweepTable) -> tuple[bool, str]:
    """With one value per channel, the output is beta and no gradient reaches the weights."""
    rng = np.random.Generator(np.random.PCG64(1502))
    gamma, beta = rng.uniform(0.5, 2, _C), rng.standard_normal(_C)
    y, cache = batchnorm_forward(rng.standard_normal((1, _C)), gamma, beta, _state())
    gradient = batchnorm_backward(rng.standard_normal((1, _C)), cache)[0]
    error = max(_largest(y - beta), _largest(gradient))
    note = f"with one value per channel the output is beta and the gradient of the weights 0, to {error:.0e}"
    return error <= _ROUNDING, note


def _one_image_at_a_time(table: SweepTable) -> tuple[bool, str]:
    """With batches of one image, normalized by their own statistics, a fully connected network ignores the image."""
    rng = np.random.Generator(np.random.PCG64(1502))
    weights = [rng.standard_normal((_C, _C)) for _ in range(3)]
    gamma, beta = rng.uniform(0.5, 2, _C), rng.standard_normal(_C)
    answers = []
    for _ in range(16):
        x = rng.standard_normal((1, _C))
        for weight in weights:
            x = np.maximum(batchnorm_forward(x @ weight, gamma, beta, _state())[0], 0)
        answers.append(x)
    error = _largest(np.ptp(np.concatenate(answers), axis=0))
    note = f"one image at a time, the outputs for 16 images differ by at most {error:.0e}"
    return error <= _ROUNDING, note


def _parameter_counts(table: SweepTable) -> tuple[bool, str]:
    """Batch norm adds 2 C trainable and 2 C running numbers, less C biases if left out: compare recorded counts."""
    trials = table.trials
    if names.PARAMETERS not in trials or names.STATISTICS not in trials:
        raise NoDataError("the sweep did not record the counts of parameters")
    counted = trials[trials["status"].isin(["finished", "diverged"]) & trials[names.PARAMETERS].notna()]
    model_keys = ["data", *(key for key in map(str, trials) if key == "model" or key.startswith("model."))]
    model_keys = [key for key in model_keys if key in trials]
    seen, wrong = 0, []
    for _, group in counted.groupby(model_keys, dropna=False, sort=False):
        without = group[group["norm"] == "none"]
        for _, row in (
            group[group["norm"] == "batch"]
            .drop_duplicates([key for key in group if key in {"norm.placement", "norm.affine"}])
            .iterrows()
        ):
            if without.empty:
                continue
            base = without.iloc[0]
            trainable = row[names.PARAMETERS] - base[names.PARAMETERS]
            running = row[names.STATISTICS] - base[names.STATISTICS]
            expected = _expected(row)
            seen += 1
            if (trainable, running) != expected:
                counts = f"{trainable:+.0f} and {running:+.0f}"
                wrong.append(f"{counts} instead of {expected[0]:+.0f} and {expected[1]:+.0f}")
    if not seen:
        raise NoDataError("the sweep has no model both with batch norm and without")
    if wrong:
        return False, f"{len(wrong)} of {seen} networks differ from the count: {wrong[0]}"
    return True, f"the counts of all {seen} kinds of networks are those of the formula"


def _expected(row: pd.Series[Any]) -> tuple[int, int]:
    """How many trainable and how many running numbers batch norm adds to a network."""
    model = ModelConfig(**{f.name: row[key] for f in fields(ModelConfig) if _has(row, key := _key(f.name))})
    info = DATASETS[row.get("data", "mnist_5k")]
    channels = sum(site.channels for site in norm_sites(model, info.shape, info.classes))
    affine = bool(row["norm.affine"]) if _has(row, "norm.affine") else True
    biasless = row.get("model.bias", "auto") == "auto" and row["norm.placement"] == "before"
    return 2 * channels * affine - channels * biasless, 2 * channels


def _key(name: str) -> str:
    return "model" if name == "name" else f"model.{name}"


def _has(row: pd.Series[Any], key: str) -> bool:
    return key in row.index and bool(pd.notna(row[key]))


def _state() -> BatchNormState:
    return torch_state(_C, ddof=0)  # ddof of the running variance: N - 1 is 0 for a batch of one


def _largest(x: np.ndarray) -> float:
    return float(np.abs(x).max())


_CHECKS: dict[str, Callable[[SweepTable], tuple[bool, str]]] = {
    "bias_before_batch_norm": _bias_before_batch_norm,
    "batch_of_one": _batch_of_one,
    "one_image_at_a_time": _one_image_at_a_time,
    "parameter_counts": _parameter_counts,
}
