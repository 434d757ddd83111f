"""Weight standardization: the weights of each output channel, instead of the activations."""

from __future__ import annotations

import numpy as np

from bnbench.reference.functional import batch_normalization, moments


def weight_standardization(weight: np.ndarray, *, eps: float) -> np.ndarray:
    """(weight - mean) / sqrt(variance + eps), over all the weights that feed one output channel.

    Divisor I = fan-in and eps inside the root, as the paper has it; the authors' published layers take
    divisor I - 1 and add eps to the root, a factor sqrt((I - 1) / I) smaller. It sees no activation, so it is
    the same in training and in test and at any batch size, and leaves the bias alone.

    Args:
        weight: Shape (O, I) of a linear layer or (O, I, h, w) of a conv, O output channels.
        eps: Added to the variance; 1e-5 is usual.

    Returns:
        The standardized weight, of its shape.

    References:
        Qiao, Wang, Liu, Shen & Yuille (2019), arXiv:1903.10520.
    """
    mean, variance = moments(weight, axes=range(1, weight.ndim), keepdims=True)
    return batch_normalization(weight, mean, variance, None, None, eps)
