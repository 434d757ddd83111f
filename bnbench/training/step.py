"""One optimizer step of a pack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bnbench.config import Loss
from bnbench.packing.pack import Pack
from bnbench.training.losses import example_losses


def train_step(
    pack: Pack,
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    optimizer: Any,
    backward: Callable[[Tensor], Any] = torch.autograd.backward,
) -> tuple[Tensor, Tensor]:
    """Update every slot from its own loss on its own batch.

    Args:
        pack: The networks, in training mode.
        images: As `pack.fold` stores them.
        labels: (K, N).
        loss: Which loss.
        optimizer: A `PackOptimizer` that knows the step's learning rates, or Lightning's wrapper of one.
        backward: Computes the gradients of the sum of the slots' losses.

    Returns:
        Each slot's mean loss before the update, (K,), and the logits behind it, (K, classes, N).
    """
    logits = pack(images)
    losses = example_losses(logits, labels, loss).mean(1)
    optimizer.zero_grad()
    backward(losses.sum())
    optimizer.step()
    return losses.detach(), logits.detach()
