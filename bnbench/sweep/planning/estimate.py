"""How long training will take: a rough forecast from shapes, replaced by what is measured as soon as packs run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from bnbench.config import Engine, Trial
from bnbench.config.evaluation_grid import coarse_steps, evaluation_examples, evaluation_steps
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.data import dataset_info
from bnbench.lanes.compiling import LANES
from bnbench.lanes.library import load_library
from bnbench.lanes.peak import fma_peak
from bnbench.models.geometry import Work, site_kind, work
from bnbench.packing.paces import Pace, pack_step_seconds
from bnbench.packing.slots import aligned_width

# Measured on one core of a 2-core server CPU with AVX-512 (2026); other machines differ by their speed.
_LINEAR_MACS_PER_SECOND = 3.2e10
_CONV_MACS_PER_SECOND = 1.7e10
_VALUES_PER_SECOND = 3.6e8  # activations normalized, activated and stored, forward and backward
# For each floating-point operation that a core can do at most, two of which are a multiply-add: 70 % of these are used.
_LANE_MACS = 0.35
_LANE_VALUES = 0.0105  # activations, as above
_LANE_WEIGHTS_PER_SECOND = 6.0e9  # read, updated and written
_USUAL_PEAK = 1.0e11  # floating-point operations a second of a core
_LAYER_SECONDS = 60e-6  # of a pack, whatever its width
_FORWARD = 0.4  # of the time that a step takes for its examples: the forward pass, as evaluations take it
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
    over_batch = site_kind(trial.model, trial.norm, info.shape, info.classes).over_batch
    evaluated = len(evaluation_steps(trial)) * evaluation_examples(trial, info.val) + info.val + info.test
    if over_batch:
        evaluated += len(coarse_steps(trial)) * evaluation_examples(trial, info.val) + _FINAL_IMAGES
    trained = trial.steps * trial.training.batch_size
    if trial.training.engine == Engine.lanes:
        example, weights = _lane_example(trial, done), _lane_weights(trial, done)
        return _START_SECONDS + (trained + _FORWARD * evaluated) * example + trial.steps * weights
    slots = 1 if alone else aligned_width(len(pack), [*done.conv_channels])
    step = pack_step_seconds(pace, slots) if pace else _rough_step(trial, done, slots, 2 if over_batch else 1)
    return _START_SECONDS + step * trial.steps * (1 + _FORWARD * evaluated / trained)


def _lane_example(trial: Trial, done: Work) -> float:
    """Seconds that the kernels take for an example of each lane, which are as many for fewer trials than lanes."""
    macs, values = 3 * (done.linear + done.conv), done.activations * (1 if trial.norm.name == "none" else 2)
    return LANES * (macs / _LANE_MACS + values / _LANE_VALUES) / _fma_peak()


def _lane_weights(trial: Trial, done: Work) -> float:
    """Seconds that the kernels take to update the weights of each lane."""
    return LANES * done.weights * (1 + OPTIMIZERS[trial.optimizer.name].states) / _LANE_WEIGHTS_PER_SECOND


@cache
def _fma_peak() -> float:
    """Floating-point operations a second of a core of this machine, or of a usual one where there are no kernels."""
    library = load_library()
    if library is None:
        return _USUAL_PEAK
    # The best of several tries: whatever else the machine does only lowers what is measured.
    return max(fma_peak(library, 0.002) for _ in range(10))


def _rough_step(trial: Trial, done: Work, slots: int, norms: int) -> float:
    example = 3 * (done.linear / _LINEAR_MACS_PER_SECOND + done.conv / _CONV_MACS_PER_SECOND)
    example += norms * done.activations / _VALUES_PER_SECOND
    return done.layers * norms * _LAYER_SECONDS + slots * trial.training.batch_size * example
