"""The low-level functional API of TensorFlow on NumPy arrays; `bnbench.norms.functional` is the same for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from bnbench.reference.tensorflow_arguments import axes_of, one_of_two, required


def moments(
    x: ArrayLike,
    axes: SupportsIndex | Sequence[SupportsIndex] | None,
    *,
    keepdims: bool = False,
    keep_dims: bool = False,
    shift: object = None,
    name: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of `x` over `axes`, the variance with divisor N.

    The axes are those averaged *over*, all but the channel axis: `[0]` for `(N, C)`,
    `[0, 1, 2]` for `(N, H, W, C)`, `[0, 2, 3]` for `(N, C, H, W)`. Other axes give moments of another shape, or
    of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Any shape. Moments of whole numbers are floating point; TensorFlow rounds those towards 0.
        axes: One axis or several, negative ones counted from the end; None is all of them. An empty list averages
            nothing: the mean is `x`, the variance 0.
        keepdims: Whether to keep the axes, with length 1, so that the moments of `(N, C, H, W)` broadcast against `x`.
            It is passed by name only, for TensorFlow's third argument is another one.
        keep_dims: TensorFlow 1's name of `keepdims`.
        shift: Has no effect, as in TensorFlow.
        name: Has no effect; TensorFlow names a node of its graph by it.

    Returns:
        (mean, variance), of the type of `x`, the variance in squared units of `x`. For float16 they are computed in
        float32; a variance above 65504, the largest number of float16, becomes infinity.

    Examples:
        >>> mean, variance = moments([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]], axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    x = np.asarray(x)
    over = axes_of(axes, x.ndim)
    precise = x.astype(np.float32) if x.dtype == np.float16 else x
    mean = precise.mean(axis=over, keepdims=True)
    variance = ((precise - mean) ** 2).mean(axis=over, keepdims=True)
    if precise is not x:
        with np.errstate(over="ignore"):
            mean, variance = mean.astype(x.dtype), variance.astype(x.dtype)
    if keepdims or keep_dims:
        return mean, variance
    return mean.squeeze(over), variance.squeeze(over)


def batch_normalization(
    x: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    offset: ArrayLike | None,
    scale: ArrayLike | None,
    variance_epsilon: float,
    name: str | None = None,
) -> np.ndarray:
    """scale * (x - mean) / sqrt(variance + variance_epsilon) + offset.

    Some tutorials print the denominator without its square root. Their formula divides by the variance, and gives a
    channel of standard deviation 10 the deviation 0.1; this one gives it 1.

    All arguments broadcast by NumPy's rule, against the *last* axes of `x`: moments of shape (C,) fit
    `(N, C)` and `(N, H, W, C)`. For `(N, C, H, W)` compute them with `keepdims=True`; of shape (C,) they fail,
    or, where W = C, silently normalize the columns.

    TensorFlow computes x * inv + (offset - mean * inv) with inv = scale / sqrt(…), which is the same number
    with fewer right digits if the mean is large.

    Args:
        x: Any shape.
        mean: The mean to subtract.
        variance: The variance, with the divisor that the caller chose.
        offset: beta, or None for 0.
        scale: gamma, or None for 1.
        variance_epsilon: Added to the variance, inside the root.
        name: Has no effect; TensorFlow names a node of its graph by it.

    Returns:
        The normalized `x`, of the type of `x`, whatever the types of the others. If variance and epsilon are both 0, it
        is NaN or infinite, as x / 0 - mean / 0 is; so it is in TensorFlow.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithm 1.

    Examples:
        >>> batch_normalization([1.0, 5.0], 3.0, 4.0, offset=10.0, scale=2.0, variance_epsilon=0)
        array([ 8., 12.])
    """
    x, mean = np.asarray(x), np.asarray(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.asarray(variance) + variance_epsilon)
        normalized = np.where(root == 0, x / root - mean / root, (x - mean) / root)
    if scale is not None:
        normalized = normalized * np.asarray(scale)
    if offset is not None:
        normalized = normalized + np.asarray(offset)
    return normalized.astype(x.dtype) if np.issubdtype(x.dtype, np.inexact) else normalized


def batch_norm_with_global_normalization(
    t: ArrayLike | None = None,
    m: ArrayLike | None = None,
    v: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    gamma: ArrayLike | None = None,
    variance_epsilon: float | None = None,
    scale_after_normalization: bool | None = None,
    name: str | None = None,
    *,
    input: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
) -> np.ndarray:
    """`batch_normalization` under its older name: `gamma` is used only if `scale_after_normalization`.

    gamma * (t - m) / sqrt(v + variance_epsilon) + beta, without `gamma` if not `scale_after_normalization`.
    "Global" means moments over batch, height and width, as convolutions need them; the caller computes them.

    Args:
        t: Input, `(N, H, W, C)`, or any shape against which the other arguments broadcast.
        m: Mean, shape (C,).
        v: Variance, shape (C,).
        beta: Offset, shape (C,), or None for 0.
        gamma: Scale, shape (C,), or None for 1; ignored if not `scale_after_normalization`.
        variance_epsilon: Added to the variance, inside the root.
        scale_after_normalization: Whether to multiply by `gamma`.
        name: Has no effect; TensorFlow names a node of its graph by it.
        input: TensorFlow 2's name of `t`.
        mean: TensorFlow 2's name of `m`.
        variance: TensorFlow 2's name of `v`.

    Returns:
        The normalized `t`, of its type.

    Raises:
        TypeError: If an argument is missing, or passed under both of its names.
    """
    x = one_of_two("t", t, "input", input)
    means, variances = one_of_two("m", m, "mean", mean), one_of_two("v", v, "variance", variance)
    epsilon = required("variance_epsilon", variance_epsilon)
    scaled = required("scale_after_normalization", scale_after_normalization)
    return batch_normalization(x, means, variances, beta, gamma if scaled else None, epsilon)
