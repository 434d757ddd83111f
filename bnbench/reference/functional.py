"""The low-level functional API of TensorFlow on NumPy arrays; `bnbench.norms.functional` has it for torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from bnbench.reference.tensorflow_arguments import axes_of, either, given


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

    The axes are those averaged *over*, the opposite of the channel axis that is kept: `[0]` for `(N, C)`,
    `[0, 1, 2]` for `(N, H, W, C)`, `[0, 2, 3]` for `(N, C, H, W)`. Others give moments of another shape, or
    of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Any shape. Of whole numbers the moments are floating point; TensorFlow's are whole numbers, cut off.
        axes: One axis or several, negative ones counted from the end; None is all of them. An empty list averages
            nothing: the mean is `x`, the variance 0.
        keepdims: Keep the axes, with length 1, so that the moments of `(N, C, H, W)` broadcast against `x`. By
            name: TensorFlow's third argument is another one.
        keep_dims: The same, as TensorFlow 1 spells it.
        shift: Has no effect, in TensorFlow neither.
        name: Likewise; a graph's node has it there.

    Returns:
        (mean, variance), of the type of `x`, the variance in squared units of `x`. Those of float16 are computed in
        float32: a deviation above 256 still gives infinity, which is what float16 can hold.

    Examples:
        >>> mean, variance = moments([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]], axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    x = np.asarray(x)
    over = axes_of(axes, x.ndim)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    mean = wide.mean(axis=over, keepdims=True)
    variance = ((wide - mean) ** 2).mean(axis=over, keepdims=True)
    if wide is not x:
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
        name: Has no effect; a graph's node has it in TensorFlow.

    Returns:
        The normalized `x`, of its type, whatever the others'. Where the variance and epsilon are 0 it is undefined,
        NaN or infinite, as x / 0 - mean / 0 is, also in TensorFlow.

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
    "Global" is what convolutions need, moments over batch, height and width; it is the caller who takes them
    so.

    Args:
        t: `(N, H, W, C)`, or any shape that the rest broadcasts against.
        m: Mean, shape (C,).
        v: Variance, shape (C,).
        beta: Offset, shape (C,), or None for 0.
        gamma: Scale, shape (C,), or None for 1; ignored if not `scale_after_normalization`.
        variance_epsilon: Added to the variance, inside the root.
        scale_after_normalization: Whether to multiply by `gamma`.
        name: Has no effect; a graph's node has it in TensorFlow.
        input: `t`, as TensorFlow 2 calls it.
        mean: `m`, likewise.
        variance: `v`, likewise.

    Returns:
        The normalized `t`, of its type.

    Raises:
        TypeError: If one of them is missing, or given under both of its names.
    """
    x = either("t", t, "input", input)
    means, variances = either("m", m, "mean", mean), either("v", v, "variance", variance)
    epsilon = given("variance_epsilon", variance_epsilon)
    scaled = given("scale_after_normalization", scale_after_normalization)
    return batch_normalization(x, means, variances, beta, gamma if scaled else None, epsilon)
