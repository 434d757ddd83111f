"""Batch normalization of (N, C, H, W) inputs, forward and backward, with one mean and variance per channel."""

from __future__ import annotations

import numpy as np

from bnbench.reference.batch_norm import BatchNormCache, batchnorm_backward, batchnorm_forward
from bnbench.reference.state import BatchNormState


def spatial_batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: BatchNormState
) -> tuple[np.ndarray, BatchNormCache]:
    """`batchnorm_forward` of the N*H*W values of each channel, for which every position counts as an example.

    So a single image can be normalized if its map is larger than 1×1, with the statistics of that image.

    Args:
        x: Input, shape (N, C, H, W).
        gamma: Scale, shape (C,).
        beta: Offset, shape (C,).
        bn_param: The state, as for `batchnorm_forward`; the divisor of its variance is N*H*W - ddof.

    Returns:
        (y, cache): y of shape (N, C, H, W), and the argument of `spatial_batchnorm_backward`.

    Raises:
        ValueError: If x has another number of axes, or if `batchnorm_forward` raises it.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, section 3.2.
    """
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; spatial_batchnorm_forward takes (N, C, H, W)")
    y, cache = batchnorm_forward(_rows(x), gamma, beta, bn_param)
    return _images(y, x.shape), cache


def spatial_batchnorm_backward(dout: np.ndarray, cache: BatchNormCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a loss with respect to x, gamma and beta; see `batchnorm_backward`.

    Args:
        dout: Gradient of the loss with respect to the output, shape (N, C, H, W).
        cache: From `spatial_batchnorm_forward`.

    Returns:
        (dx, dgamma, dbeta), shapes (N, C, H, W), (C,), (C,).
    """
    dx, dgamma, dbeta = batchnorm_backward(_rows(dout), cache)
    return _images(dx, dout.shape), dgamma, dbeta


def _rows(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])  # (N*H*W, C)


def _images(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, c, h, w = shape
    return np.moveaxis(rows.reshape(n, h, w, c), -1, 1)  # (N, C, H, W)
