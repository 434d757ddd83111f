"""The arithmetic that the norms share, centered or not, with its gradient in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Standardized = tuple[Tensor, Tensor, Tensor]  # y, mean, var


class _Standardize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, average: Callable[[Tensor], Tensor], eps: float, centered: bool) -> Standardized:
        mean = average(x)
        y = x - mean if centered else x
        var = average(y * y)
        scale = torch.rsqrt(var + eps)
        y = y * scale
        ctx.save_for_backward(y, scale)
        ctx.average, ctx.centered = average, centered
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        grad = grads[0].contiguous()
        y, scale = ctx.saved_tensors
        inner = grad - y * ctx.average(grad * y)
        if ctx.centered:
            inner = inner - ctx.average(grad)
        return inner * scale, None, None, None


def standardize(x: Tensor, average: Callable[[Tensor], Tensor], eps: float, *, centered: bool = True) -> Standardized:
    """y = (x - mean) / sqrt(var + eps), and the mean and var that were used, which get no gradient.

    The gradient is that of the paper: (grad - mean(grad) - y * mean(grad * y)) / sqrt(var + eps). It is written out so
    that it averages in the same order as the forward pass; autograd would sum over several axes in another order.

    Args:
        x: Any shape.
        average: Gives the mean over the values that are normalized together, in a shape that broadcasts with `x`. It
            must be linear and weigh all values equally.
        eps: Added to the variance (divisor N).
        centered: Whether to subtract the mean; if not, `var` is the mean square.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, section 3.
    """
    return _Standardize.apply(x, average, eps, centered)  # type: ignore[no-any-return,no-untyped-call]
