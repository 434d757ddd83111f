"""Losses of a pack: a mean for each trial, reduced along that trial's own memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bnbench.config import Loss
from bnbench.packing.leaves import ExactActivation

_softplus = ExactActivation(torch.nn.Softplus())


def example_losses(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """The loss of each example, shape (K, N).

    Args:
        logits: (K, classes, N).
        labels: (K, N), integers.
        loss: `softmax`: cross-entropy in nats. `sigmoid`: the mean over outputs of each one's binary cross-entropy.
    """
    if loss == Loss.softmax:
        return F.cross_entropy(logits, labels, reduction="none")
    K, classes, N = logits.shape
    hot = F.one_hot(labels, classes).transpose(1, 2).to(logits.dtype)  # (K, classes, N)
    flat = logits.flatten(0, 1).t()  # as a pack stores activations
    binary = _softplus(flat).t().view(K, classes, N) - logits * hot
    losses: Tensor = binary.mean(1)
    return losses


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of correct answers of each trial, shape (K,), integers."""
    # The first of the largest logits, as `argmax` gives it, in a tenth of the time: `argmax` strides across memory.
    return (logits.max(1).indices == labels).sum(1)
