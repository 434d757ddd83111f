"""How long training will take: a rough forecast from shapes, replaced by what is measured as soon as packs run."""

from __future__ import annotations

from collections.abc import Sequence

from bnbench.config import Trial
from bnbench.data import dataset_info
from bnbench.models.geometry import work
from bnbench.norms import norm_kind
from bnbench.packing.alone import why_alone
from bnbench.packing.width import aligned_width

__all__ = ["training_seconds"]

# Measured on one core of a 2-core server CPU with AVX-512 (2026); other machines differ by their speed.
_LINEAR_MACS_PER_SECOND = 3.2e10
_CONV_MACS_PER_SECOND = 1.7e10
_VALUES_PER_SECOND = 3.6e8  # activations normalized, activated and stored, forward and backward
_LAYER_SECONDS = 60e-6  # of a pack, whatever its width
_EVALUATION = 1.25
_START_SECONDS = 0.5


def training_seconds(pack: Sequence[Trial]) -> float:
    """Seconds one core needs for a pack, evaluation included."""
    trial = pack[0]
    info = dataset_info(trial.data)
    done = work(trial.model, info.shape, info.classes)
    width = aligned_width(len(pack), [*done.conv_channels]) if why_alone(trial) is None else 1
    norms = 2 if norm_kind(trial.norm.name).over_batch else 1
    example = 3 * (done.linear / _LINEAR_MACS_PER_SECOND + done.conv / _CONV_MACS_PER_SECOND)
    example += norms * done.activations / _VALUES_PER_SECOND
    step = done.layers * norms * _LAYER_SECONDS + width * trial.training.batch_size * example
    return _START_SECONDS + trial.steps * step * _EVALUATION
