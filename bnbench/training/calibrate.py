"""How many trials to train together: measured, for one shape of step, on the machine at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from bnbench.config import Device, Trial
from bnbench.data import ImageData
from bnbench.packing.optimizers import make_optimizer
from bnbench.training.fit import make_pack
from bnbench.training.images import PackImages
from bnbench.training.losses import example_losses
from bnbench.training.population import estimate_population
from bnbench.training.process import prepare_process

__all__ = ["fastest_width"]

_SECONDS = 0.5
_WORTH = 1.01


def fastest_width(trial: Trial, data: ImageData, widths: Sequence[int]) -> int:
    """The width whose steps train the most trials a second, on one thread.

    Where two are as fast, the narrower: it leaves more packs for the workers to share. The choice changes how long a
    sweep takes and no bit of its results.

    Args:
        trial: Of the shape in question.
        data: Its images.
        widths: To choose from, ascending.
    """
    prepare_process()
    best, best_rate = widths[0], 0.0
    for width in widths:
        rate = width / _step_seconds(trial, data, width)
        if rate > best_rate * _WORTH:
            best, best_rate = width, rate
    return best


def _step_seconds(trial: Trial, data: ImageData, width: int) -> float:
    """Of the median step, after a first one."""
    packed, slots = make_pack([trial] * width, data)
    images = PackImages(data, slots, slots[0].training.device)
    if packed.needs_population:
        estimate_population(packed, images)
    optimizer = make_optimizer(packed.parameters(), [t.optimizer for t in slots], packed.linear)
    (rows,) = images.train_rows(0, 1)
    times: list[float] = []
    until = None
    while until is None or time.perf_counter() < until:
        started = time.perf_counter()
        x, labels = images.batch(packed, rows)
        loss = example_losses(packed(x), labels, trial.training.loss).mean(1)
        optimizer.zero_grad()
        torch.autograd.backward(loss.sum())
        optimizer.step()
        if trial.training.device == Device.cuda:
            torch.cuda.synchronize()
        ended = time.perf_counter()
        if until is None:
            until = ended + _SECONDS
        else:
            times.append(ended - started)
    return statistics.median(times)
