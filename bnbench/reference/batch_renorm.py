"""Batch renormalization: batch norm corrected towards the output that the running statistics would give."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import affine, per_channel
from bnbench.reference.state import MODES
from bnbench.reference.tensorflow_functions import moments


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
    """y = gamma * ((x - mean) / std * r + d) + beta, and the running statistics after this batch.

    In train mode mean and std = sqrt(variance + eps) are those of the batch (divisor N). r and d are given by
    `renorm_correction` from the running statistics *before* this batch. To gradients r and d are constants: gradients
    flow through mean and std as in batch norm, r times as large. In test mode
    y = gamma * (x - running_mean) / running_std + beta.

    If r and d are not clipped, training and test give the same output from the same running statistics. With r_max = 1
    and d_max = 0 it is batch norm. It is defined on one value per channel, for which x_hat is d.

    The running statistic is the *standard deviation*, which includes eps, and not the variance as in batch norm. A
    running variance would give other numbers, for the mean of roots is not the root of the mean.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale, shape (C,); None is 1.
        beta: Offset, shape (C,); None is 0.
        running_mean: Running mean, shape (C,).
        running_std: Running standard deviation, shape (C,), positive, in units of `x`.
        mode: "train" or "test".
        momentum: Weight of the new batch in the running statistics, in [0, 1]; the paper's alpha, which is 0.01.
        eps: Added to the batch's variance.
        r_max: Largest r, at least 1; in the paper it grows from 1 to 3 over the first steps of training.
        d_max: Largest d, at least 0; in the paper it grows from 0 to 5.

    Returns:
        (y, running_mean, running_std): y of the shape of x; the updated statistics in train mode, the arguments in test
        mode.

    Raises:
        ValueError: If the mode is unknown, r_max < 1 or d_max < 0.

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
        mean: Mean of the batch, shape (C,).
        std: sqrt(variance + eps) of the batch, shape (C,).
        running_mean: Running mean, shape (C,).
        running_std: Running standard deviation, shape (C,); sqrt(running_var + eps) for a layer that averages the
            variance.
        r_max: Largest r, at least 1.
        d_max: Largest d, at least 0.

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
