"""Batch normalization over the examples (and positions) of a batch, one pair of statistics a channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BatchNorm"]


class BatchNorm(nn.Module):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

    While training, `mean` and `var` are the batch's (divisor N, with N counting positions too) and are blended
    into the running ones; evaluating, they are the running ones. `running_var` blends the divisor N - 1
    variance, as PyTorch does; with a single value a channel that one does not exist, and `running_var` is left
    as it was.

    Args:
        features: Channels C, or features of a 2-D input.
        momentum: Weight of the new batch in the running statistics, in [0, 1] (Keras' 0.99 is 0.01 here).
        eps: Added to the variance.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).
        constant: What to do with a single value a channel, whose normalization is 0 whatever the value:
            True gives that (the output is `bias`), False raises.

    Shape:
        (N, C) or (N, C, H, W), and the same out.

    Raises:
        ValueError: While training on one value a channel with `constant=False`.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithm 1.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        constant: bool = False,
    ) -> None:
        super().__init__()
        self.features = features
        self.momentum = momentum
        self.eps = eps
        self.constant = constant
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return self._single_value(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )

    def _single_value(self, x: Tensor) -> Tensor:
        if not self.constant:
            raise ValueError(
                f"batch norm over one value per channel, input {tuple(x.shape)}, is a constant; "
                "set norm.single_value=constant to train it all the same"
            )
        with torch.no_grad():
            self.running_mean.mul_(1 - self.momentum).add_(x.flatten() * self.momentum)
        normalized = x - x
        if self.weight is None or self.bias is None:
            return normalized
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return normalized * self.weight.view(shape) + self.bias.view(shape)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.features}, momentum={self.momentum:g}, eps={self.eps:g}, affine={affine}"
