"""The low-level functional API of TensorFlow on NumPy arrays; `bnbench.norms.functional` has it for torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["batch_norm_with_global_normalization", "batch_normalization", "moments"]


def moments(x: ArrayLike, axes: int | Sequence[int], keepdims: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of `x` over `axes`, the variance with divisor N.

    The axes are those averaged *over*, the opposite of the channel axis that is kept: `[0]` for `(N, C)`,
    `[0, 1, 2]` for `(N, H, W, C)`, `[0, 2, 3]` for `(N, C, H, W)`. Others give moments of another shape, or
    of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Any shape.
        axes: One axis or several, negative ones counted from the end. None of them at all (`[]`) averages
            nothing: the mean is `x`, the variance 0.
        keepdims: Keep the axes, with length 1, so that the moments of `(N, C, H, W)` broadcast against `x`.

    Returns:
        (mean, variance), the variance in squared units of `x`.

    Examples:
        >>> mean, variance = moments([[-2, 12, 6], [3, 2, 8]], axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    x = np.asarray(x)
    over = (axes,) if isinstance(axes, int) else tuple(axes)
    mean = x.mean(axis=over, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=over, keepdims=True)
    if keepdims:
        return mean, variance
    return mean.squeeze(over), variance.squeeze(over)


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    offset: ArrayLike | None,
    scale: ArrayLike | None,
    variance_epsilon: float,
) -> np.ndarray:
    """scale * (x - mean) / sqrt(variance + variance_epsilon) + offset.

    Tutorials print the denominator without its square root: their formula divides by the variance, which
    scales a channel of standard deviation 10 to 0.1. This one gives it the deviation 1.

    All arguments broadcast by NumPy's rule, against the *last* axes of `x`: moments of shape (C,) fit
    `(N, C)` and `(N, H, W, C)`. For `(N, C, H, W)` take them with `keepdims=True`; of shape (C,) they fail,
    or, where W = C, silently normalize the columns.

    TensorFlow computes x * inv + (offset - mean * inv) with inv = scale / sqrt(…), which is the same number
    with fewer right digits where the mean is large.

    Args:
        x: Any shape.
        mean: What to subtract.
        variance: Divisor N or another, as the caller took it.
        offset: beta, or None for 0.
        scale: gamma, or None for 1.
        variance_epsilon: Added to the variance, inside the root.

    Returns:
        The normalized `x`.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithm 1.

    Examples:
        >>> batch_normalization([1.0, 5.0], 3.0, 4.0, offset=10.0, scale=2.0, variance_epsilon=0)
        array([ 8., 12.])
    """
    normalized = (np.asarray(x) - np.asarray(mean)) / np.sqrt(np.asarray(variance) + variance_epsilon)
    if scale is not None:
        normalized = normalized * np.asarray(scale)
    if offset is not None:
        normalized = normalized + np.asarray(offset)
    return np.asarray(normalized)


def batch_norm_with_global_normalization(
    t: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike,
    variance_epsilon: float,
    scale_after_normalization: bool,
) -> np.ndarray:
    """`batch_normalization` under its older name: `gamma` is used only if `scale_after_normalization`.

    gamma * (t - m) / sqrt(v + variance_epsilon) + beta, without `gamma` if not `scale_after_normalization`.
    "Global" is what convolutions need, moments over batch, height and width; it is the caller who takes them
    so.

    Args:
        t: `(N, H, W, C)`, or any shape that the rest broadcasts against.
        m: Mean, shape (C,).
        v: Variance, shape (C,).
        beta: Offset, shape (C,).
        gamma: Scale, shape (C,); asked for and ignored if not `scale_after_normalization`.
        variance_epsilon: Added to the variance, inside the root.
        scale_after_normalization: Whether to multiply by `gamma`.

    Returns:
        The normalized `t`.
    """
    scale = gamma if scale_after_normalization else None
    return batch_normalization(t, m, v, beta, scale, variance_epsilon)
