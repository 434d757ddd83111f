"""How much memory a pack takes; without torch, because planning needs it before torch is loaded."""

from __future__ import annotations

import os

from bnbench.config import Precision, Trial
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.data import dataset_info
from bnbench.models.geometry import work
from bnbench.record import names
from bnbench.tensors.device import memory_bytes

# Copies of every activation that a training step holds at its peak: the layer's output, the norm's and the
# activation's, what they keep for their gradients, and gradients on their way.
_ACTIVATION_COPIES = 12
_EVALUATION_COPIES = 4


def conv_channels(trial: Trial) -> list[int]:
    """Output channels of each conv layer; empty without any."""
    info = dataset_info(trial.data)
    return [*work(trial.model, info.shape, info.classes).conv_channels]


def trial_bytes(trial: Trial) -> int:
    """A rough upper bound of the bytes that one more trial adds: weights, gradients, optimizer state, activations."""
    info = dataset_info(trial.data)
    network = work(trial.model, info.shape, info.classes)
    examples = max(
        trial.training.batch_size * _ACTIVATION_COPIES,
        min(names.EVALUATION_BATCH, info.val) * _EVALUATION_COPIES,
    )
    pixels = info.shape[0] * info.shape[1] * info.shape[2]
    numbers = network.weights * (2 + OPTIMIZERS[trial.optimizer.name].states) + examples * (
        network.activations + pixels
    )
    return numbers * (8 if trial.training.precision == Precision.float64 else 4)


def trials_in_memory(trial: Trial) -> int:
    """How many such trials a worker may hold at once, by `training.max_memory` or by default; at least 1."""
    limit = trial.training.max_memory
    memory = worker_bytes(trial.training.device) if limit is None else limit * 2**30
    return max(1, int(memory / trial_bytes(trial)))


def worker_bytes(device: str) -> int:
    """Bytes that a worker's pack may take by default: half of the device's memory, divided by the number of cores."""
    return int(memory_bytes(device) / 2 / (os.cpu_count() or 1))
