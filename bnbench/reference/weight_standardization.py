"""Weight standardization: it normalizes the weights of each output channel, not the activations."""

from __future__ import annotations

import numpy as np

from bnbench.reference.tensorflow_functions import batch_normalization, moments


def weight_standardization(weight: np.ndarray, *, eps: float) -> np.ndarray:
    """(weight - mean) / sqrt(variance + eps), over all the weights that feed one output channel.

    The divisor is the fan-in I, and eps is inside the root, as in the paper. The authors' published layers have divisor
    I - 1 and add eps to the root; their weights are smaller by the factor sqrt((I - 1) / I). It does not depend on
    activations, so it does the same in training and test and at any batch size. The bias is not changed.

    Args:
        weight: Shape (O, I) of a linear layer or (O, I, h, w) of a conv layer with O output channels.
        eps: Added to the variance; 1e-5 is usual.

    Returns:
        The standardized weight, of the shape of `weight`.

    References:
        Qiao, Wang, Liu, Shen & Yuille (2019), arXiv:1903.10520.
    """
    mean, variance = moments(weight, axes=range(1, weight.ndim), keepdims=True)
    return batch_normalization(weight, mean, variance, None, None, eps)
