"""Batch normalization of (N, C, H, W) inputs, one pair of statistics a channel, forward and backward."""

from __future__ import annotations

import numpy as np

from bnbench.reference.batch_norm import BatchNormCache, batchnorm_backward, batchnorm_forward
from bnbench.reference.state import BatchNormState


def spatial_batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: BatchNormState
) -> tuple[np.ndarray, BatchNormCache]:
    """`batchnorm_forward` with every position of every image as one more example: N*H*W values a channel.

    One image is therefore enough, if its map is larger than 1×1: the statistics are then that image's own.

    Args:
        x: Input, shape (N, C, H, W).
        gamma: Scale, shape (C,).
        beta: Offset, shape (C,).
        bn_param: The state, as for `batchnorm_forward`; its variance's divisor is N*H*W - ddof.

    Returns:
        (y, cache): y of shape (N, C, H, W), and what `spatial_batchnorm_backward` wants.

    Raises:
        ValueError: As `batchnorm_forward` does.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, section 3.2.
    """
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; spatial_batchnorm_forward takes (N, C, H, W)")
    y, cache = batchnorm_forward(_rows(x), gamma, beta, bn_param)
    return _images(y, x.shape), cache


def spatial_batchnorm_backward(dout: np.ndarray, cache: BatchNormCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by x, gamma and beta, shapes (N, C, H, W), (C,), (C,), from `dout` of shape (N, C, H, W)."""
    dx, dgamma, dbeta = batchnorm_backward(_rows(dout), cache)
    return _images(dx, dout.shape), dgamma, dbeta


def _rows(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])  # (N*H*W, C)


def _images(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, c, h, w = shape
    return np.moveaxis(rows.reshape(n, h, w, c), -1, 1)  # (N, C, H, W)
