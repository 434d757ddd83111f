"""Layer normalization: each example is normalized with its statistics over channels and positions."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import per_element
from bnbench.reference.tensorflow_functions import batch_normalization, moments


def layer_norm(
    x: np.ndarray, gamma: np.ndarray | None = None, beta: np.ndarray | None = None, *, eps: float
) -> np.ndarray:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta, with mean and variance (divisor C*H*W) of each example.

    It does the same in training and test, and at any batch size. A constant added to *one* channel is not removed (one
    added to all channels is), so a bias before it is not redundant.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale per channel, shape (C,), as in torch's GroupNorm with one group; or per element, of the shape of
            one example, as in torch's LayerNorm. For (N, C) these are the same. None is 1.
        beta: Offset, of a shape that gamma may have; None is 0.
        eps: Added to the variance, inside the root.

    Returns:
        The normalized x, of the shape of x.

    References:
        Ba, Kiros & Hinton (2016), arXiv:1607.06450, section 3.
    """
    mean, variance = moments(x, axes=range(1, x.ndim), keepdims=True)
    x_hat = batch_normalization(x, mean, variance, None, None, eps)
    if gamma is not None:
        x_hat = x_hat * per_element(gamma, x)
    if beta is not None:
        x_hat = x_hat + per_element(beta, x)
    return x_hat
