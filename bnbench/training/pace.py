"""How many trials to train together: measured, for one shape of step, on the machine at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from bnbench.config import Device, Trial
from bnbench.data import ImageData
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.training.fit import make_pack
from bnbench.training.image_batches import PackImages
from bnbench.training.population import estimate_population
from bnbench.training.process import prepare_process
from bnbench.training.step import train_step

_SECONDS = 0.5


def measure_pace(trial: Trial, data: ImageData, widths: Sequence[int]) -> dict[int, float]:
    """Seconds of the median step of packs of several widths, on one thread.

    A sweep that uses it takes another time and has the same results to the bit.

    Args:
        trial: A trial whose steps have the shape to be measured.
        data: Its images.
        widths: The numbers of trials in a pack to measure.
    """
    prepare_process()
    return {width: _step_seconds(trial, data, width) for width in widths}


def _step_seconds(trial: Trial, data: ImageData, width: int) -> float:
    """Seconds of the median step; the first step is not counted."""
    packed, trials = make_pack([trial] * width, data)
    images = PackImages(data, trials)
    if packed.needs_population:
        estimate_population(packed, images)
    optimizer = make_optimizer(packed.parameters(), [t.optimizer for t in trials.by_slot], packed.linear)
    (rows,) = images.train_rows(0, 1)
    times: list[float] = []
    until = None
    while until is None or time.perf_counter() < until:
        started = time.perf_counter()
        x, labels = images.batch(packed, rows)
        train_step(packed, x, labels, trial.training.loss, optimizer)
        if trial.training.device == Device.cuda:
            torch.cuda.synchronize()
        ended = time.perf_counter()
        if until is None:
            until = ended + _SECONDS
        else:
            times.append(ended - started)
    return statistics.median(times)
