"""How long training will take: a rough forecast from shapes, replaced by what is measured as soon as packs run."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import Engine, Trial
from bnbench.config.evaluation_grid import coarse_steps, evaluation_examples, evaluation_steps
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.data import dataset_info
from bnbench.lanes.compiling import LANES
from bnbench.models.geometry import Work, site_kind, work
from bnbench.packing.paces import Pace, pack_step_seconds
from bnbench.packing.slots import aligned_width

# Measured on one core of a 2-core server CPU with AVX-512 (2026); other machines differ by their speed.
_LINEAR_MACS_PER_SECOND = 3.2e10
_CONV_MACS_PER_SECOND = 1.7e10
_VALUES_PER_SECOND = 3.6e8  # activations normalized, activated and stored, forward and backward
_LANE_MACS_PER_SECOND = 5.0e10
_LANE_VALUES_PER_SECOND = 1.5e9
_LANE_WEIGHTS_PER_SECOND = 6.0e9  # read, updated and written
_LAYER_SECONDS = 60e-6  # of a pack, whatever its width
_FORWARD = 0.4  # of a step: its forward pass, as evaluations take it
_FINAL_IMAGES = 2600  # beside the test split: under four kinds of statistics, and one by one
_START_SECONDS = 0.5


def training_seconds(pack: Sequence[Trial], pace: Pace | None = None, *, alone: bool = False) -> float:
    """Seconds one core needs for a pack, evaluation included.

    Args:
        pack: Its trials.
        pace: What was measured of steps of its shape, if anything.
        alone: Whether its one trial is trained as plain torch does, without the slots that a pack is padded with.
    """
    trial = pack[0]
    info = dataset_info(trial.data)
    done = work(trial.model, info.shape, info.classes)
    lanes = trial.training.engine == Engine.lanes
    slots = LANES if lanes else 1 if alone else aligned_width(len(pack), [*done.conv_channels])
    over_batch = site_kind(trial.model, trial.norm, info.shape, info.classes).over_batch
    if lanes:
        step = _lane_step(trial, done, 1 if trial.norm.name == "none" else 2)
    else:
        step = pack_step_seconds(pace, slots) if pace else _rough_step(trial, done, slots, 2 if over_batch else 1)
    evaluated = len(evaluation_steps(trial)) * evaluation_examples(trial, info.val) + info.val + info.test
    if over_batch:
        evaluated += len(coarse_steps(trial)) * evaluation_examples(trial, info.val) + _FINAL_IMAGES
    trained = trial.steps * trial.training.batch_size
    return _START_SECONDS + step * trial.steps * (1 + _FORWARD * evaluated / trained)


def _lane_step(trial: Trial, done: Work, norms: int) -> float:
    """Seconds of a step of the kernels, which take no less time for fewer trials than lanes."""
    example = 3 * (done.linear + done.conv) / _LANE_MACS_PER_SECOND + norms * done.activations / _LANE_VALUES_PER_SECOND
    weights = done.weights * (1 + OPTIMIZERS[trial.optimizer.name].states) / _LANE_WEIGHTS_PER_SECOND
    return LANES * (trial.training.batch_size * example + weights)


def _rough_step(trial: Trial, done: Work, slots: int, norms: int) -> float:
    example = 3 * (done.linear / _LINEAR_MACS_PER_SECOND + done.conv / _CONV_MACS_PER_SECOND)
    example += norms * done.activations / _VALUES_PER_SECOND
    return done.layers * norms * _LAYER_SECONDS + slots * trial.training.batch_size * example
