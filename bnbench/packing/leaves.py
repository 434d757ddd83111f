"""How each kind of leaf becomes one layer for K trials; a new kind is one class and one line in `RULES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.norms.batch import BatchNorm
from bnbench.packing.layout import contiguous_grad, contiguously, exact, feature_major, trial_rows

__all__ = ["RULES", "FoldedBatchNorm", "FoldedConv2d", "FoldedLinear", "UnpackableError"]


class UnpackableError(TypeError):
    """A network that cannot be trained in a pack, and why."""


def _agree(leaves: Sequence[nn.Module], *names: str) -> None:
    for name in names:
        values = {repr(getattr(leaf, name)) for leaf in leaves}
        if len(values) > 1:
            raise UnpackableError(f"{type(leaves[0]).__name__}.{name} differs within the pack: {sorted(values)}")


def _stack(leaves: Sequence[nn.Module], name: str) -> nn.Parameter | None:
    """The K parameters of one name as one, of shape (K, …); None where the layers have none."""
    values = [getattr(leaf, name) for leaf in leaves]
    if all(value is None for value in values):
        return None
    return nn.Parameter(torch.stack([value.detach() for value in values]))


class FoldedLinear(nn.Module):
    """K linear layers as one batched product; (N, K*C) in, (N, K*O) out."""

    def __init__(self, leaves: Sequence[nn.Linear]) -> None:
        super().__init__()
        _agree(leaves, "in_features", "out_features")
        self.weight = nn.Parameter(torch.stack([leaf.weight.detach() for leaf in leaves]))  # (K, O, C)
        self.bias = _stack(leaves, "bias")  # (K, O)

    def forward(self, x: Tensor) -> Tensor:
        return _linear(self.weight, self.bias, trial_rows(x, len(self.weight)))


def _linear(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """(N, K*O), feature-major, of weights (K, O, C), biases (K, O) and inputs (K, C, N)."""
    out = torch.bmm(weight, rows) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, rows)
    return contiguous_grad(out.flatten(0, 1)).t()  # the bias's gradient is a sum over N, along rows


class FoldedConv2d(nn.Module):
    """K conv layers as one with K groups; (N, K*C, H, W) in, (N, K*O, H', W') out."""

    def __init__(self, leaves: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        _agree(leaves, "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        first = leaves[0]
        if first.padding_mode != "zeros":
            raise UnpackableError(f"Conv2d with padding_mode={first.padding_mode!r}")
        stacked = torch.stack([leaf.weight.detach() for leaf in leaves])  # (K, O, C, h, w), stored (K, O, h, w, C)
        stored = stacked.permute(0, 1, 3, 4, 2).contiguous()
        self.weight = nn.Parameter(stored.permute(0, 1, 4, 2, 3))
        self.bias = _stack(leaves, "bias")
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.groups = first.groups * len(leaves)
        around = tuple((k - 1) // 2 * d for k, d in zip(first.kernel_size, first.dilation, strict=True))
        odd = all(k % 2 for k in first.kernel_size)
        self._keeps_single_pixel = odd and first.groups == 1 and first.padding == around

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] == (1, 1) and self._keeps_single_pixel:
            # Around a 1x1 map lies only padding: the kernel's middle is a linear layer, and several times as fast.
            h, w = self.weight.shape[3:]
            rows = _linear(self.weight[:, :, :, h // 2, w // 2], self.bias, trial_rows(x.flatten(1), len(self.weight)))
            return rows[:, :, None, None].contiguous(memory_format=torch.channels_last)
        bias = None if self.bias is None else self.bias.flatten()
        return F.conv2d(
            x, self.weight.flatten(0, 1), bias, self.stride, self.padding, self.dilation, self.groups
        )


class FoldedBatchNorm(nn.Module):
    """K batch norms on K*C channels, each with a momentum of its own.

    The running statistics are blended here, not in the kernel, which takes one momentum for all: it is asked
    for the batch's own (momentum 1, into scratch buffers) instead.

    Attributes:
        batch_statistics: Evaluate with the batch's own statistics, leaving the running ones alone.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum: Tensor

    def __init__(self, leaves: Sequence[nn.BatchNorm1d | nn.BatchNorm2d | BatchNorm]) -> None:
        super().__init__()
        _agree(leaves, "eps")
        first = leaves[0]
        self.eps = first.eps
        self.constant = isinstance(first, BatchNorm) and first.constant
        self.batch_statistics = False
        self.weight = _stack(leaves, "weight")  # (K, C)
        self.bias = _stack(leaves, "bias")
        means, variances = [leaf.running_mean for leaf in leaves], [leaf.running_var for leaf in leaves]
        if any(buffer is None for buffer in means + variances) or any(leaf.momentum is None for leaf in leaves):
            raise UnpackableError("batch norm without running statistics or with a cumulative average")
        self.register_buffer("running_mean", torch.stack(means))  # type: ignore[arg-type]
        self.register_buffer("running_var", torch.stack(variances))  # type: ignore[arg-type]
        momentum = torch.tensor([[leaf.momentum] for leaf in leaves], dtype=torch.float64)
        self.register_buffer("momentum", momentum.to(self.running_mean.dtype), persistent=False)  # (K, 1)
        self.register_buffer("_keep", (1 - momentum).to(self.running_mean.dtype), persistent=False)
        self.register_buffer("_batch_mean", torch.zeros_like(self.running_mean), persistent=False)
        self.register_buffer("_batch_var", torch.zeros_like(self.running_var), persistent=False)

    _keep: Tensor
    _batch_mean: Tensor
    _batch_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            return self._normalize(feature_major(x).unsqueeze(0)).squeeze(0).t()
        if x.shape[2:] == (1, 1):
            # torch takes a 1x1 map for 2-D data, over which its backward rounds the last channels differently.
            rows = self.forward(x.flatten(1))
            return rows[:, :, None, None].contiguous(memory_format=torch.channels_last)
        return self._normalize(x)

    def _normalize(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.flatten()
        bias = None if self.bias is None else self.bias.flatten()
        if not (self.training or self.batch_statistics):
            mean, var = self.running_mean.flatten(), self.running_var.flatten()
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        if x.numel() == x.shape[1]:
            return self._single_value(x, weight, bias)
        mean, var = self._batch_mean.flatten(), self._batch_var.flatten()  # views: the kernel writes through them
        y = contiguous_grad(F.batch_norm(x, mean, var, weight, bias, True, 1.0, self.eps))
        if self.training:
            with torch.no_grad():
                self._blend(self.running_mean, self._batch_mean)
                self._blend(self.running_var, self._batch_var)
        return y

    def _single_value(self, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        if self.training and not self.constant:
            raise ValueError("batch norm over one value per channel; set norm.single_value=constant to allow it")
        if self.training:
            with torch.no_grad():
                self._blend(self.running_mean, x.reshape(self.running_mean.shape))
        normalized = x - x
        if weight is None or bias is None:
            return normalized
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return normalized * weight.view(shape) + bias.view(shape)

    def _blend(self, running: Tensor, batch: Tensor) -> None:
        # Two roundings on purpose: a fused multiply-add would round the last elements of a tensor otherwise.
        running.mul_(self._keep).add_(batch * self.momentum)


class FoldedFlatten(nn.Module):
    """(N, K*C, H, W) in, (N, K*C*H*W) out, feature-major."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(1, 2, 3, 0).contiguous().flatten(0, 2).t()


class ExactActivation(nn.Module):
    """An elementwise activation with an exponential in it, the same to the bit in every slot; see `exact`."""

    def __init__(self, leaf: nn.Module) -> None:
        super().__init__()
        self.leaf = leaf

    def forward(self, x: Tensor) -> Tensor:
        return _Exact.apply(x, self.leaf)  # type: ignore[no-any-return,no-untyped-call]


class ContiguousActivation(nn.Module):
    """An elementwise activation that is only given contiguous memory; see `contiguously`."""

    def __init__(self, leaf: nn.Module) -> None:
        super().__init__()
        self.leaf = leaf

    def forward(self, x: Tensor) -> Tensor:
        return contiguously(self.leaf, x)


class _Exact(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, leaf: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.leaf = leaf
        return exact(leaf, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return exact(lambda block: _slope(ctx.leaf, block), x) * grads[0], None


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x)[0]


def _flatten(leaves: Sequence[nn.Flatten]) -> nn.Module:
    if any((leaf.start_dim, leaf.end_dim) != (1, -1) for leaf in leaves):
        raise UnpackableError("Flatten that is not from dimension 1 to the last")
    return FoldedFlatten()


def _shared(leaves: Sequence[nn.Module]) -> nn.Module:
    """A leaf that works channel by channel or element by element: one serves all trials as it is."""
    if len({repr(leaf) for leaf in leaves}) > 1:
        raise UnpackableError(f"{type(leaves[0]).__name__} differs within the pack")
    return leaves[0]


def _contiguous(leaves: Sequence[nn.Module]) -> nn.Module:
    return ContiguousActivation(_shared(leaves))


def _exact(leaves: Sequence[nn.Module]) -> nn.Module:
    return ExactActivation(_shared(leaves))


RULES: dict[type[nn.Module], Callable[[Sequence[Any]], nn.Module]] = {
    nn.Linear: FoldedLinear,
    nn.Conv2d: FoldedConv2d,
    BatchNorm: FoldedBatchNorm,
    nn.BatchNorm1d: FoldedBatchNorm,
    nn.BatchNorm2d: FoldedBatchNorm,
    nn.Flatten: _flatten,
    **dict.fromkeys([nn.Identity, nn.ReLU, nn.LeakyReLU, nn.Tanh], _shared),
    **dict.fromkeys([nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d], _shared),
    nn.GELU: _contiguous,
    **dict.fromkeys([nn.Sigmoid, nn.ELU, nn.SiLU, nn.Softplus], _exact),
}
"""From a leaf's class to what makes one of K of them. Exact classes only: a subclass may compute anything."""
