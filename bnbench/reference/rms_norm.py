"""RMS normalization: each example is divided by its root mean square; no mean is subtracted."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import per_element


def rms_norm(x: np.ndarray, gamma: np.ndarray | None = None, *, eps: float) -> np.ndarray:
    """y = gamma * x / sqrt(mean(x²) + eps), with the mean over channels and positions of one example.

    It is layer norm without subtracting the mean and without beta: a constant added to the input is not removed. It
    does the same in training and test. The paper has no eps; here it is inside the root, as in torch.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale per channel, shape (C,), or per element, of the shape of one example, as in torch's RMSNorm. For
            (N, C) these are the same. None is 1.
        eps: Added to the mean square.

    Returns:
        The normalized x, of the shape of x.

    References:
        Zhang & Sennrich (2019), arXiv:1910.07467, equation 4.
    """
    mean_square = np.mean(x**2, axis=tuple(range(1, x.ndim)), keepdims=True)
    x_hat: np.ndarray = x / np.sqrt(mean_square + eps)
    return x_hat if gamma is None else x_hat * per_element(gamma, x)
