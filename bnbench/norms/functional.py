"""The low-level functional API of TensorFlow on torch tensors; `bnbench.reference` is its judge."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["batch_norm_with_global_normalization", "batch_normalization", "moments"]


def moments(x: Tensor, axes: int | Sequence[int], keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance of `x` over `axes`, the variance with divisor N; differentiable.

    The axes are those averaged *over*, the opposite of the channel axis that is kept: `[0]` for `(N, C)`,
    `[0, 2, 3]` for torch's `(N, C, H, W)`, `[0, 1, 2]` for TensorFlow's `(N, H, W, C)`. Others give moments
    of another shape, or of the same shape and another meaning, without any error.

    Two passes: the mean first, then the mean of the squared deviations. E[x²] − E[x]² would lose every digit
    where the mean is large beside the deviation (1e4 and 1 in float32).

    Args:
        x: Floating point, any shape.
        axes: One axis or several, negative ones counted from the end. None of them at all (`[]`) averages
            nothing: the mean is `x`, the variance 0.
        keepdims: Keep the axes, with length 1, so that the moments of `(N, C, H, W)` broadcast against `x`.

    Returns:
        (mean, variance), the variance in squared units of `x`.

    Examples:
        >>> mean, variance = moments(torch.tensor([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]]), axes=[0])
        >>> mean.tolist(), variance.tolist()
        ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0])
    """
    over = (axes,) if isinstance(axes, int) else tuple(axes)
    if not over:  # to torch no axes mean all of them
        return x, torch.zeros_like(x)
    mean = x.mean(over, keepdim=True)
    variance = (x - mean).square().mean(over, keepdim=True)
    if keepdims:
        return mean, variance
    return mean.squeeze(over), variance.squeeze(over)


def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor | None,
    scale: Tensor | None,
    variance_epsilon: float,
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

    Returns:
        The normalized `x`.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithm 1.
    """
    normalized = (x - mean) / (variance + variance_epsilon).sqrt()
    if scale is not None:
        normalized = normalized * scale
    if offset is not None:
        normalized = normalized + offset
    return normalized


def batch_norm_with_global_normalization(
    t: Tensor,
    m: Tensor,
    v: Tensor,
    beta: Tensor,
    gamma: Tensor,
    variance_epsilon: float,
    scale_after_normalization: bool,
) -> Tensor:
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
    return batch_normalization(t, m, v, beta, gamma if scale_after_normalization else None, variance_epsilon)
