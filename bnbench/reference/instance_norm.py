"""Instance normalization: each channel of each image is normalized with its statistics over positions."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import affine, spatial_axes
from bnbench.reference.tensorflow_functions import batch_normalization, moments


def instance_norm(
    x: np.ndarray, gamma: np.ndarray | None = None, beta: np.ndarray | None = None, *, eps: float
) -> np.ndarray:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta, with the mean and the variance (divisor H*W) of each map.

    It does the same in training and test. At batch size 1 batch norm computes the same. A constant added to a channel
    is removed. On a 1×1 map the output is beta, whatever the input.

    Args:
        x: Input, shape (N, C, H, W).
        gamma: Scale, shape (C,); None is 1.
        beta: Offset, shape (C,); None is 0.
        eps: Added to the variance, inside the root.

    Returns:
        The normalized x, of the shape of x.

    Raises:
        ValueError: If `x` has no positions to average over, as (N, C).

    References:
        Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """
    if x.ndim < 3:
        raise ValueError(f"x has shape {x.shape}; instance_norm averages over positions, as of (N, C, H, W)")
    mean, variance = moments(x, axes=spatial_axes(x), keepdims=True)
    return affine(batch_normalization(x, mean, variance, None, None, eps), gamma, beta)
