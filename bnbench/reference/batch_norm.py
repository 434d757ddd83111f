"""Batch normalization of (N, C) inputs, forward and backward, with one mean and variance for each feature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bnbench.reference.state import BatchNormState, check_state, update_running
from bnbench.reference.tensorflow_functions import batch_normalization, moments


class BatchNormCache(NamedTuple):
    """The values of a forward pass that the backward pass needs.

    Attributes:
        x_hat: The normalized input before gamma and beta, shape (N, C).
        gamma: The scale, shape (C,).
        std: sqrt(variance + eps), by which the input was divided, shape (C,).
        mode: "train" or "test".
    """

    x_hat: np.ndarray
    gamma: np.ndarray
    std: np.ndarray
    mode: str


def batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: BatchNormState
) -> tuple[np.ndarray, BatchNormCache]:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta, for each column.

    In train mode mean and variance (divisor N) are those of the batch, and are blended into the running ones; in test
    mode they are the running ones, which stay as they are. With N = 1 in train mode the variance is 0, and the output
    is beta whatever the input.

    Args:
        x: Input, shape (N, C).
        gamma: Scale, shape (C,).
        beta: Offset, shape (C,).
        bn_param: The state, made by `torch_state` or `tutorial_state`. In train mode its `running_mean` and
            `running_var` are replaced, so that the next call with the same dict continues from them.

    Returns:
        (y, cache): y of shape (N, C), and the argument of `batchnorm_backward`.

    Raises:
        ValueError: If the mode is unknown, or the state or a shape is not as described.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithms 1 and 2.

    Examples:
        >>> from bnbench.reference import torch_state
        >>> state = torch_state(2, momentum=0.5)
        >>> x = np.array([[1.0, 4.0], [3.0, 4.0]])
        >>> y, _ = batchnorm_forward(x, np.ones(2), np.array([0.0, 7.0]), state)
        >>> y.round(3).tolist()
        [[-1.0, 7.0], [1.0, 7.0]]
        >>> state["running_mean"].tolist(), state["running_var"].tolist()
        ([1.0, 2.0], [1.5, 0.5])
    """
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"x has shape {x.shape}; batchnorm_forward takes (N, C) with N >= 1")
    features = x.shape[1]
    for name, value in (("gamma", gamma), ("beta", beta)):
        if np.shape(value) != (features,):
            raise ValueError(f"{name} has shape {np.shape(value)}, the input has {features} channels")
    check_state(bn_param, features)
    if bn_param["mode"] == "train":
        mean, variance = moments(x, axes=0)
        update_running(bn_param, mean, variance, count=len(x))
    else:
        mean, variance = bn_param["running_mean"], bn_param["running_var"]
    x_hat = batch_normalization(x, mean, variance, None, None, bn_param["eps"])
    std = np.sqrt(variance + bn_param["eps"])
    return gamma * x_hat + beta, BatchNormCache(x_hat, gamma, std, bn_param["mode"])


def batchnorm_backward(dout: np.ndarray, cache: BatchNormCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a loss with respect to x, gamma and beta, in closed form.

    In train mode, with means over the batch:
        dx = gamma / std * (dout - mean(dout) - x_hat * mean(dout * x_hat))
    The two means are the gradient through the batch's mean and variance. So dx sums to 0 over the batch: a bias added
    before batch norm has gradient 0. With N = 1, dx is 0. In test mode the statistics are constants,
    and dx = gamma / std * dout.

    Args:
        dout: Gradient of the loss with respect to the output, shape (N, C).
        cache: From `batchnorm_forward`.

    Returns:
        (dx, dgamma, dbeta), shapes (N, C), (C,), (C,).
    """
    x_hat, gamma, std, mode = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    if mode == "test":
        return gamma / std * dout, dgamma, dbeta
    n = len(dout)
    dx = gamma / std * (dout - dbeta / n - x_hat * (dgamma / n))
    return dx, dgamma, dbeta
