"""Batch norms for torch that are right but for one planted defect each, and one that is right."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Right(nn.Module):
    """Batch norm of (N, C) and (N, C, …), written out; the others override one of its parts."""

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def axes(self, x: Tensor) -> list[int]:
        return [0, *range(2, x.dim())]

    def forward(self, x: Tensor) -> Tensor:
        shape = [1, -1] + [1] * (x.dim() - 2)
        if self.training and x.numel() == x.shape[1]:
            raise ValueError("one value a channel has no variance")
        if self.uses_batch():
            mean = x.mean(self.axes(x), keepdim=True)
            var = (x - mean).square().mean(self.axes(x), keepdim=True)
        else:
            mean, var = self.running_mean.view(shape), self.running_var.view(shape)
        hat = self.normalized(x, mean, var)
        if self.training and len(x):
            with torch.no_grad():
                self.blend(x, hat)
        return self.affine(hat, self.weight.view(shape), self.bias.view(shape))

    def uses_batch(self) -> bool:
        return self.training

    def normalized(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / (var + self.eps).sqrt()

    def affine(self, hat: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return weight * hat + bias

    def blend(self, x: Tensor, hat: Tensor) -> None:
        rows = x.transpose(0, 1).flatten(1)
        self.running_mean += self.momentum * (rows.mean(1) - self.running_mean)
        self.running_var += self.momentum * (self.variance(rows) - self.running_var)

    def variance(self, rows: Tensor) -> Tensor:
        return rows.var(1)  # divisor N - 1


class EpsOutside(Right):
    def normalized(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / (var.sqrt() + self.eps)


class DivisorN(Right):
    def variance(self, rows: Tensor) -> Tensor:
        return rows.var(1, correction=0)


class MomentumReversed(Right):
    def blend(self, x: Tensor, hat: Tensor) -> None:
        rows = x.transpose(0, 1).flatten(1)
        self.running_mean.mul_(self.momentum).add_((1 - self.momentum) * rows.mean(1))
        self.running_var.mul_(self.momentum).add_((1 - self.momentum) * rows.var(1))


class WrongAxes(Right):
    def axes(self, x: Tensor) -> list[int]:
        return [0] if x.dim() > 2 else [1]


class _Gradient(torch.autograd.Function):
    """The normalized input, with a gradient from which shares may be missing."""

    @staticmethod
    def forward(ctx, x: Tensor, eps: float, axes: list[int], mean_share: bool, var_share: bool) -> Tensor:
        mean = x.mean(axes, keepdim=True)
        std = ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()
        hat = (x - mean) / std
        ctx.save_for_backward(hat, std)
        ctx.asked = axes, mean_share, var_share
        return hat

    @staticmethod
    def backward(ctx, dout: Tensor):
        (hat, std), (axes, mean_share, var_share) = ctx.saved_tensors, ctx.asked
        dx = dout.clone()
        if mean_share:
            dx -= dout.mean(axes, keepdim=True)
        if var_share:
            dx -= hat * (dout * hat).mean(axes, keepdim=True)
        return dx / std, None, None, None, None


class ForgetsMean(Right):
    shares = (False, True)

    def normalized(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        if not self.training:
            return super().normalized(x, mean, var)
        return _Gradient.apply(x, self.eps, self.axes(x), *self.shares)


class ForgetsVariance(ForgetsMean):
    shares = (True, False)


class EvaluationUsesBatch(Right):
    def uses_batch(self) -> bool:
        return True


class GammaAfterBeta(Right):
    def affine(self, hat: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return weight * (hat + bias)


class VarianceOfNormalized(Right):
    def blend(self, x: Tensor, hat: Tensor) -> None:
        super().blend(x, hat)
        rows = hat.transpose(0, 1).flatten(1)
        self.running_var += self.momentum * (rows.var(1, correction=0) - x.transpose(0, 1).flatten(1).var(1))


class ShiftWithoutScale(Right):
    def affine(self, hat: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return hat + bias


class StateNotSaved(Right):
    """Its statistics are plain attributes, as some tutorials have them: `state_dict` does not know them."""

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(features, eps, momentum)
        del self.running_mean, self.running_var
        self.running_mean, self.running_var = torch.zeros(features), torch.ones(features)

    def blend(self, x: Tensor, hat: Tensor) -> None:
        self.running_mean, self.running_var = self.running_mean.to(x), self.running_var.to(x)
        super().blend(x, hat)

    def forward(self, x: Tensor) -> Tensor:
        self.running_mean, self.running_var = self.running_mean.to(x), self.running_var.to(x)
        return super().forward(x)
