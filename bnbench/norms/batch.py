"""Batch normalization over the examples (and positions) of a batch, one pair of statistics a channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bnbench.config import Statistics
from bnbench.layout import feature_major, stored_grad
from bnbench.norms.norm import ChannelNorm

__all__ = ["BatchNorm"]


class BatchNorm(ChannelNorm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

    While training, `mean` and `var` are the batch's (divisor N, with N counting positions too) and are blended
    into the running ones; evaluating, they are what `statistics` says, the running ones at first. With a single
    value a channel the N - 1 variance does not exist, and `running_var` is left as it was.

    Args:
        features: Channels C, or features of a 2-D input.
        momentum: Weight of the new batch in the running statistics, in [0, 1] (Keras' 0.99 is 0.01 here).
        eps: Added to the variance.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).
        unbiased: Whether `running_var` blends the divisor N - 1 variance, as PyTorch does, or the divisor N
            one, as TensorFlow's low-level code does.
        cumulative: Blend with equal weights, 1 / batches seen, instead of `momentum`.
        constant: What to do with a single value a channel, whose normalization is 0 whatever the value:
            True gives that (the output is `bias`), False raises.

    Shape:
        (N, C) or (N, C, H, W), and the same out.

    Raises:
        ValueError: While training on one value a channel with `constant=False`.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithms 1 and 2.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum: Tensor
    keep: Tensor
    batches: Tensor
    precise_mean: Tensor
    precise_var: Tensor
    batch_mean: Tensor
    batch_var: Tensor

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        unbiased: bool = True,
        cumulative: bool = False,
        constant: bool = False,
    ) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.unbiased = unbiased
        self.cumulative = cumulative
        self.constant = constant
        self.statistics = Statistics.running
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        # Per trial, so that momenta may differ inside a pack; both rounded once, from float64.
        weight = torch.tensor([momentum], dtype=torch.float64)
        self.register_buffer("momentum", weight, persistent=False)
        self.register_buffer("keep", 1 - weight, persistent=False)
        self.register_buffer("batches", torch.zeros(1), persistent=False)
        self.register_buffer("precise_mean", torch.zeros(features), persistent=False)
        self.register_buffer("precise_var", torch.ones(features), persistent=False)
        # The kernel blends with one momentum for all channels: it is asked for the batch's own, into these.
        self.register_buffer("batch_mean", torch.zeros(features), persistent=False)
        self.register_buffer("batch_var", torch.ones(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() == x.shape[1] and self._over_batch():
            return self._single_value(x)
        if x.dim() == 2:
            return self._normalize(feature_major(x).unsqueeze(0)).squeeze(0).t()
        if x.shape[2:] == (1, 1):
            # torch takes a 1x1 map for 2-D data, over which its backward rounds the last channels differently.
            rows = BatchNorm.forward(self, x.flatten(1))
            return rows[:, :, None, None].contiguous(memory_format=torch.channels_last)
        return self._normalize(x)

    def _over_batch(self) -> bool:
        """Whether the statistics are those of the input itself."""
        return self.training or self.statistics == Statistics.batch

    def _normalize(self, x: Tensor) -> Tensor:
        weight, bias = _flat(self.weight), _flat(self.bias)
        if not self._over_batch():
            mean, var = self._evaluation_statistics()
            return stored_grad(F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps))
        if not self.training:
            return F.batch_norm(x, None, None, weight, bias, True, 0.0, self.eps)
        mean, var = self.batch_mean.flatten(), self.batch_var.flatten()  # views, which the kernel writes through
        y = stored_grad(F.batch_norm(x, mean, var, weight, bias, True, 1.0, self.eps))
        with torch.no_grad():
            values = x.numel() // x.shape[1]
            var = self.batch_var if self.unbiased else self.batch_var * ((values - 1) / values)
            self.update_running(self.batch_mean, var)
        return y

    def _evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance by channel, shape (K * C,)."""
        if self.statistics == Statistics.initial:
            mean = self.running_mean.flatten()
            return torch.zeros_like(mean), torch.ones_like(mean)
        if self.statistics == Statistics.precise:
            return self.precise_mean.flatten(), self.precise_var.flatten()
        return self.running_mean.flatten(), self.running_var.flatten()

    def _single_value(self, x: Tensor) -> Tensor:
        if self.training and not self.constant:
            raise ValueError(
                f"batch norm over one value per channel, input {tuple(x.shape)}, is a constant; "
                "set norm.single_value=constant to train it all the same"
            )
        if self.training:
            with torch.no_grad():
                var = None if self.unbiased else torch.zeros_like(self.running_var)
                self.update_running(x.detach().reshape(self.running_mean.shape), var)
        return self.from_rows(self.scale_and_shift(self.rows(x - x)), x)

    def blend(self, mean: Tensor, var: Tensor, values: int) -> None:
        """Blend statistics of batches of so many values a channel, `var` with divisor N, K * C of each."""
        shape = self.running_mean.shape
        if self.unbiased and values == 1:
            self.update_running(mean.view(shape), None)
            return
        var = var * (values / (values - 1)) if self.unbiased else var
        self.update_running(mean.view(shape), var.view(shape))

    def set_population(self, mean: Tensor, var: Tensor) -> None:
        """Take in the training images' statistics, K * C of each, `var` with divisor N."""
        self.precise_mean.copy_(mean.view_as(self.precise_mean))
        self.precise_var.copy_(var.view_as(self.precise_var))

    def update_running(self, mean: Tensor, var: Tensor | None) -> None:
        """Blend a batch's statistics into the running ones; `var=None` leaves the variance as it was."""
        momentum, keep = self.momentum, self.keep
        if self.cumulative:
            self.batches += 1
            momentum, keep = 1 / self.batches, 1 - 1 / self.batches
        # Two roundings on purpose: a fused multiply-add would round the last elements of a tensor otherwise.
        self.running_mean.mul_(keep).add_(mean * momentum)
        if var is not None:
            self.running_var.mul_(keep).add_(var * momentum)

    def extra_repr(self) -> str:
        momentum = "cumulative" if self.cumulative else f"momentum={self.momentum.flatten()[0]:g}"
        return f"{super().extra_repr()}, {momentum}"


def _flat(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.flatten()
