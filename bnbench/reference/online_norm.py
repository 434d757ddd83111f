"""Online normalization, forward and backward: each example is normalized with statistics of those before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class OnlineNormState(NamedTuple):
    """The state that is carried from example to example; every field has shape (C,).

    Attributes:
        mean: Average mean of the examples so far.
        variance: Average variance of the examples so far.
        error_along_y: Sum of the components of the gradients so far along the normalized output.
        error_along_one: Sum of their components along 1.
    """

    mean: np.ndarray
    variance: np.ndarray
    error_along_y: np.ndarray
    error_along_one: np.ndarray


def online_norm_state(features: int) -> OnlineNormState:
    """The state before any example: mean 0, variance 1, no errors."""
    return OnlineNormState(np.zeros(features), np.ones(features), np.zeros(features), np.zeros(features))


def online_norm_forward(
    x: np.ndarray, state: OnlineNormState, *, decay: float, eps: float
) -> tuple[np.ndarray, np.ndarray, OnlineNormState]:
    """y_t = (x_t - mean_(t-1)) / sqrt(variance_(t-1) + eps) for one example t = 1 … N after the other.

    It has no affine. The statistics are updated after each example, so that a batch of N gives what N batches of one
    give.

    Args:
        x: Input, shape (N, C, P), with P positions (1 for features).
        state: The state before the first example.
        decay: Weight of the old statistics, in [0, 1]; the paper's alpha_f.
        eps: Added to the variance.

    Returns:
        (y, std, state): y of the shape of x; the std by which each example was divided, (N, C); and the state after the
        last example.

    References:
        Chiley et al. (2019), arXiv:1905.05894, equations 8.
    """
    mean, variance = state.mean, state.variance
    y, std = np.empty_like(x), np.empty(x.shape[:2])
    for t, example in enumerate(x):  # (C, P)
        std[t] = np.sqrt(variance + eps)
        y[t] = (example - mean[:, None]) / std[t][:, None]
        step = example.mean(axis=1) - mean
        variance = decay * variance + (1 - decay) * example.var(axis=1) + decay * (1 - decay) * step**2
        mean = mean + (1 - decay) * step
    return y, std, state._replace(mean=mean, variance=variance)


def online_norm_backward(
    dout: np.ndarray, y: np.ndarray, std: np.ndarray, state: OnlineNormState, *, decay: float
) -> tuple[np.ndarray, OnlineNormState]:
    """The controlled gradient, which over time has no component along y and none along 1.

    Batch norm's gradient has none within each batch. The controlled gradient is not the derivative of the forward pass,
    in which the statistics depend on all earlier examples: here they are constants.

    Args:
        dout: Gradient of the loss with respect to y, shape (N, C, P).
        y: From `online_norm_forward`.
        std: From `online_norm_forward`.
        state: The state before the first example.
        decay: The paper's alpha_b, in [0, 1].

    Returns:
        (dx, state): dx of the shape of dout, and the state after the last example.

    References:
        Chiley et al. (2019), arXiv:1905.05894, equations 10 to 12.
    """
    along_y, along_one = state.error_along_y, state.error_along_one
    dx = np.empty_like(dout)
    for t, grad in enumerate(dout):
        controlled = grad - (1 - decay) * along_y[:, None] * y[t]
        along_y = along_y + (controlled * y[t]).mean(axis=1)
        dx[t] = controlled / std[t][:, None] - (1 - decay) * along_one[:, None]
        along_one = along_one + dx[t].mean(axis=1)
    return dx, state._replace(error_along_y=along_y, error_along_one=along_one)
