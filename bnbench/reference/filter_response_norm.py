"""Filter response normalization: each map is divided by its root mean square, then cut at a learned threshold."""

from __future__ import annotations

import numpy as np

from bnbench.reference.channels import affine, per_channel, spatial_axes


def filter_response_norm(
    x: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    tau: np.ndarray | None = None,
    *,
    eps: float | np.ndarray,
) -> np.ndarray:
    """z = max(y, tau), y = gamma * x / sqrt(nu² + |eps|) + beta, nu² the mean of x² over one (n, c) map.

    No mean is subtracted, and no example depends on another: it does the same in training and test, and at batch size
    1. The maximum is the thresholded linear unit (TLU), which takes the place of the activation. Without it
    (`tau=None`) this is the norm alone.

    On a 1×1 map, and for (N, C), nu² is x² and y is nearly the sign of x. There the paper learns eps, starting from
    1e-4; elsewhere it uses 1e-6.

    Args:
        x: Input, shape (N, C, H, W), or (N, C).
        gamma: Scale, shape (C,); None is 1.
        beta: Offset, shape (C,); None is 0.
        tau: Threshold, shape (C,), in units of y; it is learned, starting from 0. None is no threshold.
        eps: A number, or learned values of shape (C,). The absolute value is used.

    Returns:
        z, of the shape of x.

    References:
        Singh & Krishnan (2020), arXiv:1911.09737.
    """
    mean_square = np.mean(x**2, axis=spatial_axes(x), keepdims=True)  # (N, C, 1, 1)
    eps = np.abs(eps) if np.ndim(eps) == 0 else np.abs(per_channel(np.asarray(eps), x))
    y = affine(x / np.sqrt(mean_square + eps), gamma, beta)
    return y if tau is None else np.maximum(y, per_channel(tau, x))
