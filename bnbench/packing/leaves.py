"""How each kind of leaf becomes one layer for K trials; a new kind is one class and one line in `RULES`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.norms.batch import BatchNorm
from bnbench.norms.from_torch import batch_norm_of
from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear, standardized
from bnbench.packing.pixels import is_linear_on_a_pixel
from bnbench.packing.products import Descent, linear
from bnbench.tensors.memory_layout import exact, stored, stored_grad


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
    if any(value is None for value in values):
        raise UnpackableError(f"some {type(leaves[0]).__name__} of the pack have a {name} and some have none")
    return nn.Parameter(torch.stack([value.detach() for value in values]))


class FoldedLinear(nn.Module):
    """K linear layers as one batched product; (N, K*C) in, (N, K*O) out.

    Attributes:
        descent: Set by an optimizer whose step the backward pass is to take, else None.
    """

    def __init__(self, leaves: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.descent: Descent | None = None
        _agree(leaves, "in_features", "out_features")
        self.weight = nn.Parameter(torch.stack([leaf.weight.detach() for leaf in leaves]))  # (K, O, C)
        self.bias = _stack(leaves, "bias")  # (K, O)

    def forward(self, x: Tensor) -> Tensor:
        return linear(self.used_weight(), self.bias, x, self.descent)

    def used_weight(self) -> Tensor:
        """The weight that the input is multiplied with."""
        return self.weight


class FoldedStandardizedLinear(FoldedLinear):
    """K linear layers with standardized weights."""

    def used_weight(self) -> Tensor:
        return standardized(self.weight.flatten(0, 1)).view_as(self.weight)


class FoldedConv2d(nn.Module):
    """K conv layers as one with K groups; (N, K*C, H, W) in, (N, K*O, H', W') out."""

    def __init__(self, leaves: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        _agree(leaves, "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        _agree(leaves, "padding_mode")
        first = leaves[0]
        if first.padding_mode != "zeros":
            raise UnpackableError(f"Conv2d with padding_mode={first.padding_mode!r}")
        stacked = torch.stack([leaf.weight.detach() for leaf in leaves])  # (K, O, C, h, w), stored (K, O, h, w, C)
        stored = stacked.permute(0, 1, 3, 4, 2).contiguous()
        self.weight = nn.Parameter(stored.permute(0, 1, 4, 2, 3))
        self.bias = _stack(leaves, "bias")
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.groups = first.groups  # of one trial
        self._keeps_single_pixel = is_linear_on_a_pixel(first)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.used_weight()
        if x.shape[2:] == (1, 1) and self._keeps_single_pixel:
            return _on_a_pixel(linear(_middle(weight), self.bias, x.flatten(1)))
        bias = None if self.bias is None else self.bias.flatten()
        groups = self.groups * len(weight)
        return F.conv2d(x, weight.flatten(0, 1), bias, self.stride, self.padding, self.dilation, groups)

    def used_weight(self) -> Tensor:
        """The kernel that the input is convolved with."""
        return self.weight


def _middle(weight: Tensor) -> Tensor:
    h, w = weight.shape[3:]
    return weight[:, :, :, h // 2, w // 2]


def _on_a_pixel(rows: Tensor) -> Tensor:
    return rows[:, :, None, None].contiguous(memory_format=torch.channels_last)


class FoldedPixelConv2d(FoldedLinear):
    """K conv layers that only see 1x1 maps, as linear layers: only the middle of a kernel has a gradient there.

    It is not for use with weight decay, which would change the rest of the kernel too. It is several times as fast as a
    conv, and the optimizer updates a ninth of a 3x3 kernel.
    """

    kernels: Tensor

    def __init__(self, leaves: Sequence[nn.Conv2d]) -> None:
        _agree(leaves, "in_channels", "out_channels", "kernel_size")
        nn.Module.__init__(self)
        self.descent = None
        kernels = torch.stack([leaf.weight.detach() for leaf in leaves])  # (K, O, C, h, w)
        self.weight = nn.Parameter(_middle(kernels).contiguous())
        self.bias = _stack(leaves, "bias")
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return _on_a_pixel(super().forward(x.flatten(1)))

    def kernel(self, slot: int) -> Tensor:
        """The whole kernel of slot k, as the lone network has it."""
        kernel: Tensor = self.kernels[slot].clone()
        _middle(kernel.unsqueeze(0))[0] = self.weight.detach()[slot]
        return kernel


class FoldedStandardizedConv2d(FoldedConv2d):
    """K conv layers with standardized weights."""

    def used_weight(self) -> Tensor:
        rows = self.weight.permute(0, 1, 3, 4, 2)  # (K, O, h, w, C), as it is stored
        return standardized(rows.flatten(2).flatten(0, 1)).view_as(rows).permute(0, 1, 4, 2, 3)


def _torch_batch_norm(leaves: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> BatchNorm:
    """PyTorch's batch norms as one of bnbench's."""
    return BatchNorm.fold([_converted(leaf) for leaf in leaves])


def _converted(leaf: nn.BatchNorm1d | nn.BatchNorm2d) -> BatchNorm:
    if leaf.running_mean is None:
        raise UnpackableError("batch norm without running statistics")
    norm = batch_norm_of(leaf).to(leaf.running_mean.dtype)
    norm.load_state_dict({k: v for k, v in leaf.state_dict().items() if k != "num_batches_tracked"})
    return norm.train(leaf.training)


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
        return _Exact.apply(stored(x), self.leaf)  # type: ignore[no-any-return,no-untyped-call]


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


class FoldedGlobalAvgPool2d(nn.Module):
    """Each channel's mean over its positions, (N, K*C, 1, 1), summed along its own memory."""

    def forward(self, x: Tensor) -> Tensor:
        rows = stored_grad(x).transpose(0, 1).flatten(2).contiguous()  # (K*C, N, H*W)
        return _on_a_pixel(rows.mean(2).t())


class FoldedZeroPad2d(nn.Module):
    """Zeros around (N, K*C, H, W), stored as it is."""

    def __init__(self, padding: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return stored(F.pad(stored_grad(x), self.padding))


def _pad(leaves: Sequence[nn.ZeroPad2d]) -> nn.Module:
    _agree(leaves, "padding")
    return FoldedZeroPad2d(leaves[0].padding)


def _adaptive_pool(leaves: Sequence[nn.AdaptiveAvgPool2d]) -> nn.Module:
    shared = _shared(leaves)
    return FoldedGlobalAvgPool2d() if leaves[0].output_size in (1, (1, 1)) else shared


def _shared(leaves: Sequence[nn.Module]) -> nn.Module:
    """A copy of the first leaf, which serves all trials because it works by channel or by element."""
    _agree(leaves, *(name for name in vars(leaves[0]) if not name.startswith("_") and name != "training"))
    leaf = copy.copy(leaves[0])
    if hasattr(leaf, "inplace"):
        leaf.inplace = False  # type: ignore[assignment]  # in place it would overwrite a tensor that another leaf's gradient needs
    return leaf


def _exact(leaves: Sequence[nn.Module]) -> nn.Module:
    return ExactActivation(_shared(leaves))


RULES: dict[type[nn.Module], Callable[[Sequence[Any]], nn.Module]] = {
    nn.Linear: FoldedLinear,
    nn.Conv2d: FoldedConv2d,
    StandardizedLinear: FoldedStandardizedLinear,
    StandardizedConv2d: FoldedStandardizedConv2d,
    nn.BatchNorm1d: _torch_batch_norm,
    nn.BatchNorm2d: _torch_batch_norm,
    nn.Flatten: _flatten,
    nn.ZeroPad2d: _pad,
    nn.AdaptiveAvgPool2d: _adaptive_pool,
    **dict.fromkeys([nn.Identity, nn.ReLU, nn.LeakyReLU, nn.Tanh], _shared),
    **dict.fromkeys([nn.MaxPool2d, nn.AvgPool2d], _shared),
    **dict.fromkeys([nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus], _exact),
}
"""From a leaf's class to what makes one of K of them. Exact classes only: a subclass may compute anything."""
