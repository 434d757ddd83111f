"""How long training will take: a rough forecast from shapes, replaced by what is measured as soon as packs run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from bnbench.config import ModelConfig, Trial
from bnbench.data import DATASETS
from bnbench.models.geometry import conv_layers
from bnbench.norms import NORMS
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
    linear, conv, values, layers = _work(trial.model, trial.data.name)
    channels = [c.out_channels for c in conv_layers(trial.model, DATASETS[trial.data.name].shape)] if conv else []
    width = aligned_width(len(pack), channels)
    norms = 2 if NORMS[trial.norm.name].over_batch else 1
    example = 3 * (linear / _LINEAR_MACS_PER_SECOND + conv / _CONV_MACS_PER_SECOND)
    example += norms * values / _VALUES_PER_SECOND
    step = layers * norms * _LAYER_SECONDS + width * trial.training.batch_size * example
    return _START_SECONDS + trial.steps * step * _EVALUATION


def _work(model: ModelConfig, data: str) -> tuple[float, float, float, int]:
    """Multiply-adds of linear and conv layers, activations, and layers, for one example's forward pass."""
    info = DATASETS[data]
    if model.name == "fc":
        sizes = [math.prod(info.shape), *[model.width] * model.depth, info.classes]
        linear = sum(a * b for a, b in itertools.pairwise(sizes))
        return linear, 0, sum(sizes[1:]), len(sizes)
    layers = conv_layers(model, info.shape)
    conv = sum(9 * c.in_channels * c.out_channels * c.height * c.width for c in layers)
    last = layers[-1]
    sizes = [last.out_channels * last.height * last.width, *([model.hidden] if model.hidden else []), info.classes]
    linear = sum(a * b for a, b in itertools.pairwise(sizes))
    return linear, conv, sum(c.out_channels * c.height * c.width for c in layers), len(layers) + 2
