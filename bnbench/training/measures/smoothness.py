"""How smooth the loss is along the step that training takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bnbench.training.measures.gradients import total_norm

STEP_SIZES = (0.5, 1.0, 2.0, 4.0)
"""The points along the step where the loss is evaluated, in multiples of the step."""


class Smoothness(NamedTuple):
    """One number a trial, each (K,).

    Attributes:
        loss_range: Largest less smallest loss over the step sizes.
        gradient_range: max ‖∇L(w + aΔ) - ∇L(w)‖ over the step sizes a.
        effective_beta: max ‖∇L(w + aΔ) - ∇L(w)‖ / ‖aΔ‖, the smoothness that this stretch of the way shows.
    """

    loss_range: Tensor
    gradient_range: Tensor
    effective_beta: Tensor


def smoothness(
    step: Sequence[Tensor], gradient: Sequence[Tensor], along: Sequence[tuple[Tensor, Sequence[Tensor]]]
) -> Smoothness:
    """Smoothness along a step Δ; with plain gradient descent that is the gradient's own direction, as in the paper.

    Args:
        step: Δ by parameter, (K, …).
        gradient: ∇L where the step starts, by parameter.
        along: The loss, (K,), and its gradient by parameter, at each of `STEP_SIZES`.

    References:
        Santurkar, Tsipras, Ilyas & Madry (2018), arXiv:1805.11604, figure 4.
    """
    losses = torch.stack([loss for loss, _ in along], 1).double()  # (K, sizes)
    changes = torch.stack([total_norm([b - a for a, b in zip(gradient, there, strict=True)]) for _, there in along], 1)
    distances = total_norm(step).unsqueeze(1) * changes.new_tensor(STEP_SIZES)
    return Smoothness(losses.amax(1) - losses.amin(1), changes.amax(1), (changes / distances).amax(1))
