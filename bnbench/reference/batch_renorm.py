"""Batch renormalization: batch norm corrected towards what the running statistics would have given."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import affine, per_channel
from bnbench.reference.functional import moments
from bnbench.reference.state import MODES


def batch_renorm(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    running_mean: np.ndarray,
    running_std: np.ndarray,
    *,
    mode: str,
    momentum: float,
    eps: float,
    r_max: float,
    d_max: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y = gamma * ((x - mean) / std * r + d) + beta, and the running statistics after it.

    In train mode mean and std = sqrt(variance + eps) are the batch's (divisor N), r and d are
    `renorm_correction` with the running statistics as they were *before* this batch, and gradients take r and
    d for constants: they flow through mean and std as in batch norm, r times as large. In test mode
    y = gamma * (x - running_mean) / running_std + beta.

    Where r and d are not clipped, training and test give the same output from the same running statistics;
    with r_max = 1 and d_max = 0 it is batch norm. It is defined at one value a channel, where x_hat is d.

    What runs is the *standard deviation*, eps already in it, not the variance of batch norm: a running
    variance gives other numbers, since the mean of roots is not the root of the mean.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale, shape (C,); None is 1.
        beta: Offset, shape (C,); None is 0.
        running_mean: Shape (C,).
        running_std: Shape (C,), positive, in units of `x`.
        mode: "train" or "test".
        momentum: Weight of the new batch in the running statistics, in [0, 1]; the paper's alpha, 0.01 there.
        eps: Added to the batch's variance.
        r_max: At least 1; the paper goes from 1 to 3 over the first steps of training.
        d_max: At least 0; the paper goes from 0 to 5.

    Returns:
        (y, running_mean, running_std): the new statistics in train mode, those given in test mode.

    Raises:
        ValueError: On an unknown mode, r_max < 1 or d_max < 0.

    References:
        Ioffe (2017), arXiv:1702.03275, algorithm 1.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown; allowed: {', '.join(MODES)}")
    if mode == "test":
        x_hat = (x - per_channel(running_mean, x)) / per_channel(running_std, x)
        return affine(x_hat, gamma, beta), running_mean, running_std
    mean, variance = moments(x, axes=(0, *range(2, x.ndim)))  # (C,)
    std = np.sqrt(variance + eps)
    r, d = renorm_correction(mean, std, running_mean, running_std, r_max=r_max, d_max=d_max)
    x_hat = (x - per_channel(mean, x)) / per_channel(std, x)
    y = affine(affine(x_hat, r, d), gamma, beta)
    return y, running_mean + momentum * (mean - running_mean), running_std + momentum * (std - running_std)


def renorm_correction(
    mean: np.ndarray,
    std: np.ndarray,
    running_mean: np.ndarray,
    running_std: np.ndarray,
    *,
    r_max: float,
    d_max: float,
) -> tuple[np.ndarray, np.ndarray]:
    """r = std / running_std within [1/r_max, r_max], d = (mean - running_mean) / running_std within ±d_max.

    Args:
        mean: The batch's, shape (C,).
        std: The batch's sqrt(variance + eps), shape (C,).
        running_mean: Shape (C,).
        running_std: Shape (C,); sqrt(running_var + eps) for a layer that runs the variance.
        r_max: At least 1.
        d_max: At least 0.

    Returns:
        (r, d), each (C,), without units.

    Raises:
        ValueError: If r_max < 1 (its limits would be reversed) or d_max < 0.
    """
    if not r_max >= 1:
        raise ValueError(f"r_max={r_max} reverses the limits 1/r_max and r_max; allowed: at least 1")
    if not d_max >= 0:
        raise ValueError(f"d_max={d_max} reverses the limits -d_max and d_max; allowed: at least 0")
    r = np.clip(std / running_std, 1 / r_max, r_max)
    d = np.clip((mean - running_mean) / running_std, -d_max, d_max)
    return r, d
