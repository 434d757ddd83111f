"""How values a channel, or an element of one example, meet an input whose channels are axis 1."""

from __future__ import annotations

import numpy as np


def per_channel(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`values` of shape (C,) as (1, C, 1, …), to broadcast against `x` of shape (N, C, …).

    Raises:
        ValueError: If there is not one value a channel: NumPy would stretch a single one, or meet another
            axis.
    """
    if np.shape(values) != (x.shape[1],):
        raise ValueError(f"shape {np.shape(values)} is not one value for each of {x.shape[1]} channels")
    return np.reshape(values, (1, -1) + (1,) * (x.ndim - 2))


def per_element(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`values` of the shape of one example as they are; of shape (C,) as `per_channel` has them."""
    return values if np.shape(values) == x.shape[1:] else per_channel(values, x)


def affine(x_hat: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None) -> np.ndarray:
    """gamma * x_hat + beta channel by channel; None stands for 1 and 0."""
    y = x_hat
    if gamma is not None:
        y = per_channel(gamma, x_hat) * y
    if beta is not None:
        y = y + per_channel(beta, x_hat)
    return y


def spatial_axes(x: np.ndarray) -> tuple[int, ...]:
    """(2, 3) for images, () for features without positions."""
    return tuple(range(2, x.ndim))
