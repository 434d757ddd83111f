"""Batched matrix products of K trials, each in the orientation in which its kernel is fast."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bnbench.tensors.memory_layout import stored_grad, trial_rows

_NARROW = 16


class Descent(NamedTuple):
    """A step of plain SGD, to be taken in the backward pass: weight * shrink + rate * gradient, trial by trial.

    Attributes:
        rate: Minus the learning rates, (K, 1, 1).
        shrink: 1 - learning rate * weight decay, (K, 1, 1); None if no trial decays.
    """

    rate: Tensor
    shrink: Tensor | None


def product(a: Tensor, b: Tensor) -> Tensor:
    """The K products of (K, M, L) and (K, L, N), contiguous (K, M, N).

    BLAS is several times slower where the last dimension of its result is narrower than a vector: such products
    are taken transposed, and those with a single column, of matrices stored by rows, one by one (measured with
    100 x 784: 3 to 6 times, and 11 times). The choice depends on N alone, so a trial's bits do not depend on its
    pack.
    """
    N = b.shape[2]
    if N >= _NARROW:
        return torch.bmm(a, b)
    if N == 1 and a.stride(2) == 1:
        out = a.new_empty(a.shape[:2])
        for matrix, vector, result in zip(a.unbind(0), b.squeeze(2).unbind(0), out.unbind(0), strict=True):
            torch.mv(matrix, vector, out=result)
        return out.unsqueeze(2)
    return torch.bmm(b.transpose(1, 2).contiguous(), a.transpose(1, 2)).transpose(1, 2).contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, rows: Tensor, descent: Descent | None) -> Tensor:
        ctx.save_for_backward(rows)
        # Not among the saved tensors, which must not change: the backward pass may move the weight after its last use.
        ctx.weight, ctx.descent, ctx.has_bias = weight, descent, bias is not None
        out = product(weight, rows)
        return out if bias is None else out.add_(bias.unsqueeze(2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (rows,) = ctx.saved_tensors
        weight, grad = ctx.weight, grads[0].contiguous()
        grad_rows = product(weight.transpose(1, 2), grad) if ctx.needs_input_grad[2] else None
        grad_bias = grad.sum(2) if ctx.has_bias else None
        if ctx.descent is None:
            return _outer(grad, rows), grad_bias, grad_rows, None
        _descend(weight, grad, rows, ctx.descent)
        return None, grad_bias, grad_rows, None


def _outer(grad: Tensor, rows: Tensor) -> Tensor:
    """The gradient by the weight, (K, O, C): sums over N of grad (K, O, N) times rows (K, C, N)."""
    across = rows.transpose(1, 2)
    return grad * across if grad.shape[2] == 1 else torch.bmm(grad, across)


def _descend(weight: Tensor, grad: Tensor, rows: Tensor, descent: Descent) -> None:
    step, across = grad * descent.rate, rows.transpose(1, 2)
    with torch.no_grad():
        if descent.shrink is not None:
            weight.mul_(descent.shrink)
        if step.shape[2] == 1:
            weight.addcmul_(step, across)
        else:
            weight.baddbmm_(step, across)


def linear(weight: Tensor, bias: Tensor | None, x: Tensor, descent: Descent | None = None) -> Tensor:
    """K linear layers; (N, K*C) in, (N, K*O) out, feature-major.

    Args:
        weight: (K, O, C).
        bias: (K, O), or None.
        x: (N, K*C).
        descent: If not None, the backward pass takes the optimizer's step itself and leaves no gradient of the weight,
            which saves writing a gradient as large as the weight and reading it back.
    """
    out: Tensor = _Linear.apply(weight, bias, trial_rows(x, len(weight)), descent)  # type: ignore[no-untyped-call]
    return stored_grad(out.flatten(0, 1).t())
