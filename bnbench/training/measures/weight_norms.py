"""How large the weights are, and what that makes of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bnbench.training.measures.gradients import norms


def weight_norm(weights: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of a layer's weights, mean over layers, (K,).

    Args:
        weights: By layer, (K, …).
    """
    return norms(weights).mean(1)


def effective_lr(weights: Sequence[Tensor], lrs: Sequence[float]) -> Tensor:
    """lr / ‖w‖² of a layer's weights, mean over layers, (K,).

    A layer that a norm follows computes the same with weights twice as large; its gradient is then half as large, and
    gradient descent turns the weights by a quarter as much. (Adam's steps do not shrink with the gradient: there, lr /
    ‖w‖ would be the like.)

    Args:
        weights: By layer, (K, …).
        lrs: Each trial's learning rate.

    References:
        van Laarhoven (2017), arXiv:1706.05350.
    """
    sizes = norms(weights)  # (K, L)
    return (sizes.new_tensor([*lrs]).unsqueeze(1) / sizes.square()).mean(1)
