"""Broadcasts values per channel, or per element of an example, against an input whose channels are axis 1."""

from __future__ import annotations

import numpy as np


def per_channel(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`values` of shape (C,) as (1, C, 1, …), to broadcast against `x` of shape (N, C, …).

    Raises:
        ValueError: If there is not one value per channel: NumPy would broadcast a single value, or along another
            axis.
    """
    if np.shape(values) != (x.shape[1],):
        raise ValueError(f"shape {np.shape(values)} is not one value for each of {x.shape[1]} channels")
    return np.reshape(values, (1, -1) + (1,) * (x.ndim - 2))


def per_element(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`values` as they are if they have the shape of one example; else, of shape (C,), the result of `per_channel`."""
    return values if np.shape(values) == x.shape[1:] else per_channel(values, x)


def affine(x_hat: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None) -> np.ndarray:
    """gamma * x_hat + beta for each channel; a gamma of None is 1, a beta of None is 0."""
    y = x_hat
    if gamma is not None:
        y = per_channel(gamma, x_hat) * y
    if beta is not None:
        y = y + per_channel(beta, x_hat)
    return y


def spatial_axes(x: np.ndarray) -> tuple[int, ...]:
    """The axes of positions: (2, 3) for (N, C, H, W), () for (N, C)."""
    return tuple(range(2, x.ndim))
