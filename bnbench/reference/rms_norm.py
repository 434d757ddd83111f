"""RMS normalization: each example by its root mean square, without subtracting a mean."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import per_element


def rms_norm(x: np.ndarray, gamma: np.ndarray | None = None, *, eps: float) -> np.ndarray:
    """y = gamma * x / sqrt(mean(x²) + eps), the mean over everything in one example.

    Layer norm without its mean and without beta: a constant added to the input is not removed. The same in
    training and in test. The paper has no eps; it stands inside the root here, as in torch.

    Args:
        x: Input, shape (N, C) or (N, C, H, W).
        gamma: Scale of shape (C,), one a channel, or of the shape of one example (torch's RMSNorm); the same
            thing for (N, C). None is 1.
        eps: Added to the mean square.

    Returns:
        The normalized x, of its shape.

    References:
        Zhang & Sennrich (2019), arXiv:1910.07467, equation 4.
    """
    mean_square = np.mean(x**2, axis=tuple(range(1, x.ndim)), keepdims=True)
    x_hat: np.ndarray = x / np.sqrt(mean_square + eps)
    return x_hat if gamma is None else x_hat * per_element(gamma, x)
