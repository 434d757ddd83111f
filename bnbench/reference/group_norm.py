"""Group normalization: each group of channels of each example is normalized with its own statistics."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import affine
from bnbench.reference.tensorflow_functions import batch_normalization, moments


def group_norm(
    x: np.ndarray,
    groups: int,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    *,
    eps: float,
) -> np.ndarray:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta, with mean and variance over one group of one example.

    A group is C / groups neighbouring channels with all their positions (divisor C*H*W / groups). With one group it is
    layer norm, with C groups instance norm. It does the same in training and test.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        groups: How many groups; it must divide C.
        gamma: Scale per channel, not per group, shape (C,); None is 1.
        beta: Offset, shape (C,); None is 0.
        eps: Added to the variance, inside the root.

    Returns:
        The normalized x, of the shape of x.

    Raises:
        ValueError: If `groups` does not divide C.

    References:
        Wu & He (2018), arXiv:1803.08494, section 3.1.
    """
    n, c = x.shape[:2]
    if groups < 1 or c % groups:
        raise ValueError(f"groups={groups} does not divide {c} channels")
    grouped = x.reshape(n, groups, -1)  # (N, G, C/G * H * W)
    mean, variance = moments(grouped, axes=2, keepdims=True)
    x_hat = batch_normalization(grouped, mean, variance, None, None, eps).reshape(x.shape)
    return affine(x_hat, gamma, beta)
