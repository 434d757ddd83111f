"""The low-level functional API of TensorFlow on torch tensors; `bnbench.reference` is its judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from bnbench.reference.tensorflow_arguments import axes_of, either, given

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

    The axes are those averaged *over*, the opposite of the channel axis that is kept: `[0]` for `(N, C)`,
    `[0, 2, 3]` for torch's `(N, C, H, W)`, `[0, 1, 2]` for TensorFlow's `(N, H, W, C)`. Others give moments
    of another shape, or of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Floating point, any shape.
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
        >>> mean, variance = moments(torch.tensor([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]]), axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    over = axes_of(axes, x.dim())
    if not over:  # to torch no axes mean all of them
        return x, torch.zeros_like(x)
    wide = x.float() if x.dtype == torch.float16 else x
    mean = wide.mean(over, keepdim=True)
    variance = (wide - mean).square().mean(over, keepdim=True)
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

    Tutorials print the denominator without its square root: their formula divides by the variance, which
    scales a channel of standard deviation 10 to 0.1. This one gives it the deviation 1.

    All arguments broadcast against the *last* axes of `x`: moments of shape (C,) fit `(N, C)` and
    `(N, H, W, C)`. For `(N, C, H, W)` take them with `keepdims=True`; of shape (C,) they fail, or, where
    W = C, silently normalize the columns.

    Args:
        x: Any shape.
        mean: What to subtract.
        variance: Divisor N or another, as the caller took it.
        offset: beta (torch's bias), or None for 0.
        scale: gamma (torch's weight), or None for 1.
        variance_epsilon: Added to the variance, inside the root.
        name: Has no effect; a graph's node has it in TensorFlow.

    Returns:
        The normalized `x`, of its type, whatever the others'. Where the variance and epsilon are 0 it is undefined,
        NaN or infinite, as x / 0 - mean / 0 is, also in TensorFlow.

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
