"""The low-level functional API of TensorFlow on torch tensors; tests compare it with `bnbench.reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from bnbench.reference.tensorflow_arguments import axes_of, one_of_two, required

Statistic = Tensor | float


def moments(
    x: Tensor,
    axes: SupportsIndex | Sequence[SupportsIndex] | None,
    *,
    keepdims: bool = False,
    keep_dims: bool = False,
    shift: object = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and variance of `x` over `axes`, the variance with divisor N; differentiable.

    The axes are those averaged *over*, all but the channel axis: `[0]` for `(N, C)`,
    `[0, 2, 3]` for torch's `(N, C, H, W)`, `[0, 1, 2]` for TensorFlow's `(N, H, W, C)`. Other axes give moments
    of another shape, or of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Floating point, any shape.
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
        >>> mean, variance = moments(torch.tensor([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]]), axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    over = axes_of(axes, x.dim())
    if not over:  # torch would average over all axes
        return x, torch.zeros_like(x)
    precise = x.float() if x.dtype == torch.float16 else x
    mean = precise.mean(over, keepdim=True)
    variance = (precise - mean).square().mean(over, keepdim=True)
    mean, variance = mean.to(x.dtype), variance.to(x.dtype)
    if keepdims or keep_dims:
        return mean, variance
    return mean.squeeze(over), variance.squeeze(over)


def batch_normalization(
    x: Tensor,
    mean: Statistic,
    variance: Statistic,
    offset: Statistic | None,
    scale: Statistic | None,
    variance_epsilon: float,
    name: str | None = None,
) -> Tensor:
    """scale * (x - mean) / sqrt(variance + variance_epsilon) + offset; differentiable in every tensor.

    Some tutorials print the denominator without its square root. Their formula divides by the variance, and gives a
    channel of standard deviation 10 the deviation 0.1; this one gives it 1.

    All arguments broadcast against the *last* axes of `x`: moments of shape (C,) fit `(N, C)` and
    `(N, H, W, C)`. For `(N, C, H, W)` compute them with `keepdims=True`; of shape (C,) they fail, or, where
    W = C, silently normalize the columns.

    Args:
        x: Any shape.
        mean: The mean to subtract.
        variance: The variance, with the divisor that the caller chose.
        offset: beta (torch's bias), or None for 0.
        scale: gamma (torch's weight), or None for 1.
        variance_epsilon: Added to the variance, inside the root.
        name: Has no effect; TensorFlow names a node of its graph by it.

    Returns:
        The normalized `x`, of the type of `x`, whatever the types of the others. If variance and epsilon are both 0, it
        is NaN or infinite, as x / 0 - mean / 0 is; so it is in TensorFlow.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithm 1.
    """
    if not isinstance(variance, Tensor):
        variance = torch.as_tensor(variance, dtype=x.dtype, device=x.device)
    root = (variance + variance_epsilon).sqrt()
    normalized = (x - mean) / root
    if variance_epsilon < torch.finfo(root.dtype).tiny:  # a root of 0 is possible
        normalized = torch.where(root == 0, x / root - mean / root, normalized)
    if scale is not None:
        normalized = normalized * scale
    if offset is not None:
        normalized = normalized + offset
    return normalized.to(x.dtype)


def batch_norm_with_global_normalization(
    t: Tensor | None = None,
    m: Statistic | None = None,
    v: Statistic | None = None,
    beta: Statistic | None = None,
    gamma: Statistic | None = None,
    variance_epsilon: float | None = None,
    scale_after_normalization: bool | None = None,
    name: str | None = None,
    *,
    input: Tensor | None = None,
    mean: Statistic | None = None,
    variance: Statistic | None = None,
) -> Tensor:
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
