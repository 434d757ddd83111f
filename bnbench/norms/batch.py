"""Batch normalization over the examples (and positions) of a batch, with one mean and variance for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.tensors.memory_layout import feature_major, stored_grad


class BatchNorm(StatisticsNorm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

    In training mode `mean` and `var` are those of the batch (divisor N, where N counts positions too), and they are
    blended into the running statistics. In evaluation mode they are the statistics that the attribute `statistics`
    names, by default the running ones. With a single value per channel the divisor N - 1 variance does not exist, and
    `running_var` stays as it was; with divisor N, and with `fused`, it is blended with 0.

    Args:
        features: Channels C, or features of a 2-D input.
        momentum: Weight of the new batch in the running statistics, in [0, 1] (Keras' 0.99 is 0.01 here).
        eps: Added to the variance.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).
        unbiased: Whether `running_var` blends the divisor N - 1 variance, as PyTorch does, or the divisor N
            one, as Keras 3 and TensorFlow's low-level code do.
        fused: Whether to blend as TensorFlow's layers do (tf.layers, Keras 2) instead: with divisor N - 1 for
            (N, C, H, W), for which they have a fused kernel, and with N for (N, C).
        cumulative: Whether to weigh all batches equally: the n-th is blended with weight 1 / n instead of `momentum`.
        constant: Whether to train on a single value per channel. Its normalization is 0 whatever the value, so the
            output is then `bias`; with False it is an error.

    Shape:
        (N, C) or (N, C, H, W), and the same out.

    Raises:
        ValueError: From `forward`, in training mode on one value per channel with `constant=False`.

    References:
        Ioffe & Szegedy (2015), arXiv:1502.03167, algorithms 1 and 2.
    """

    per_trial = ("momenta",)
    running_mean: Tensor
    running_var: Tensor
    batches: Tensor
    precise_mean: Tensor
    precise_var: Tensor

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        unbiased: bool = True,
        fused: bool = False,
        cumulative: bool = False,
        constant: bool = False,
    ) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.momenta: tuple[float, ...] = (momentum,)  # one for each trial of a pack, in which they may differ
        self.unbiased = unbiased
        self.fused = fused
        self.cumulative = cumulative
        self.constant = constant
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("batches", torch.zeros(1), persistent=False)
        self.register_buffer("precise_mean", torch.zeros(features), persistent=False)
        self.register_buffer("precise_var", torch.ones(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) * x.shape[2:].numel() == 1 and self._uses_batch_statistics():
            return self._single_value(x)
        unbiased = self._blends_unbiased(x, len(x) * x.shape[2:].numel())
        if x.shape[2:].numel() > 1:
            return self._normalize(x, unbiased)
        # torch treats maps of 1x1 as 2-D data, and its backward rounds the last channels of those differently.
        rows = feature_major(x if x.dim() == 2 else x.flatten(1))
        y = self._normalize(rows.unsqueeze(0), unbiased).squeeze(0).t()
        return y if x.dim() == 2 else y[:, :, None, None].contiguous(memory_format=torch.channels_last)

    def _uses_batch_statistics(self) -> bool:
        """Whether the input is normalized with its own statistics."""
        return self.training or self.statistics == Statistics.batch

    def _blends_unbiased(self, x: Tensor, values: int) -> bool:
        """Whether the divisor N - 1 variance of `x`, of N = `values` values per channel, is blended."""
        return x.dim() == 4 and values > 1 if self.fused else self.unbiased

    def _normalize(self, x: Tensor, unbiased: bool) -> Tensor:
        if not self._uses_batch_statistics():
            return self._kernel(x, *self.evaluation_statistics(), False, 0.0)
        if not self.training:
            return self._kernel(x, None, None, True, 0.0)
        if not unbiased:
            mean, var = x.new_zeros(2, x.shape[1]).unbind()
            y = self._kernel(x, mean, var, True, 1.0)  # writes the batch's mean and divisor N - 1 variance into them
            values = x.numel() // x.shape[1]
            self.blend(mean, var * ((values - 1) / values), values, unbiased)
            return y
        momenta = self._next_momenta()
        if len(momenta) == 1:
            running = self._buffers  # to look them up as attributes takes half a microsecond each
            return self._kernel(x, _flat(running["running_mean"]), _flat(running["running_var"]), True, momenta.pop())
        mean, var = x.new_zeros(2, x.shape[1]).unbind()
        y = self._kernel(x, mean, var, True, 1.0)
        self._blend_as_kernel(mean.view_as(self.running_mean), var.view_as(self.running_var))
        return y

    def _kernel(self, x: Tensor, mean: Tensor | None, var: Tensor | None, over_batch: bool, momentum: float) -> Tensor:
        """Torch's batch norm, with `mean` and `var` of shape (K * C,).

        It normalizes with them; with `over_batch` it normalizes with the batch's statistics and blends those into them.
        """
        affine = self._parameters  # faster than as attributes
        weight, bias = _flat(affine["weight"]), _flat(affine["bias"])
        y, *_ = torch.native_batch_norm(x, weight, bias, mean, var, over_batch, momentum, self.eps)
        return stored_grad(y)

    def _next_momenta(self) -> set[float]:
        """The distinct momenta with which this batch is blended, one number if all trials of the pack agree."""
        if not self.cumulative:
            return {*self.momenta}
        self.batches += 1
        return {1 / float(self.batches.max())}  # slots that were not cleared have all seen as many batches

    def _blend_as_kernel(self, mean: Tensor, var: Tensor) -> None:
        """Blend a batch's statistics, (K, C), into the running ones of trials whose momenta differ.

        The kernel has one momentum for all channels, so this does what the kernel would, and rounds as it does: the new
        variance is multiplied and added in double precision, all else in the precision of the tensors.
        """
        momentum = torch.tensor(self.momenta, dtype=torch.float64).unsqueeze(1).to(mean)
        decay = 1 - momentum
        self.running_mean.copy_(momentum * mean + decay * self.running_mean)
        self.running_var.copy_(momentum.double() * var.double() + (decay * self.running_var).double())

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance to evaluate with, each (K * C,)."""
        if self.statistics == Statistics.initial:
            mean = self.running_mean.flatten()
            return torch.zeros_like(mean), torch.ones_like(mean)
        if self.statistics == Statistics.precise:
            return self.precise_mean.flatten(), self.precise_var.flatten()
        return self.running_mean.flatten(), self.running_var.flatten()

    def _single_value(self, x: Tensor) -> Tensor:
        """The output for a single value per channel: `bias`, or 0 without an affine."""
        if self.training and not self.constant:
            self.refuse_single_value(tuple(x.shape))
        if self.training:
            with torch.no_grad():
                var = {} if self._blends_unbiased(x, 1) else {"running_var": torch.zeros_like(self.running_var)}
                self.update_running(running_mean=x.detach().reshape(self.running_mean.shape), **var)
        return self.from_rows(self.scale_and_shift(self.rows(x - x)), x)

    @staticmethod
    def refuse_single_value(shape: tuple[int, ...]) -> NoReturn:
        """Raise the error of training on a single value per channel, for an input of this shape."""
        raise ValueError(
            f"batch norm over one value per channel, input {shape}, is a constant; "
            "set norm.single_value=constant to train it all the same"
        )

    def blend(self, mean: Tensor, var: Tensor, values: int, unbiased: bool) -> None:
        """Blend a batch's statistics into the running ones.

        Args:
            mean: K * C means, in any shape.
            var: K * C variances with divisor N.
            values: N, the number of values per channel.
            unbiased: Whether to blend the divisor N - 1 variance.
        """
        shape = self.running_mean.shape
        if unbiased and values == 1:
            self.update_running(running_mean=mean.view(shape))
            return
        var = var * (values / (values - 1)) if unbiased else var
        self.update_running(running_mean=mean.view(shape), running_var=var.view(shape))

    def batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (divisor N) of each channel, each (K * C,)."""
        rows = self.rows(x).flatten(1)  # (K*C, N*P)
        mean = rows.mean(1)
        return mean, (rows - mean.unsqueeze(1)).square().mean(1)

    def take_population(self, batches: Sequence[tuple[Tensor, ...]]) -> None:
        """Set the mean of the batches' means, and the mean of their variances plus the variance of their means."""
        means, variances = (torch.stack(values, 1) for values in zip(*batches, strict=True))  # (K*C, batches)
        mean = means.mean(1)
        self.set_population(mean, variances.mean(1) + (means - mean.unsqueeze(1)).square().mean(1))

    def set_population(self, mean: Tensor, var: Tensor) -> None:
        """Set the `precise` statistics: K * C means and variances (divisor N) over the training images."""
        self.precise_mean.copy_(mean.view_as(self.precise_mean))
        self.precise_var.copy_(var.view_as(self.precise_var))

    def update_running(self, **new: Tensor) -> None:
        """Blend a batch's statistics into the running buffers of the same names; other buffers stay as they are."""
        if self.cumulative:
            self.batches += 1
            momentum, decay = 1 / self.batches, 1 - 1 / self.batches
        else:
            mean = self.running_mean
            momenta = torch.tensor(self.momenta, dtype=torch.float64).view(-1, *[1] * (mean.dim() - 1))
            momentum, decay = momenta.to(mean), (1 - momenta).to(mean)  # both rounded once
        for name, value in new.items():
            # Two roundings on purpose: a fused multiply-add would round the last elements of a tensor differently.
            self.get_buffer(name).mul_(decay).add_(value * momentum)

    def extra_repr(self) -> str:
        momentum = "cumulative" if self.cumulative else f"momentum={self.momenta[0]:g}"
        return f"{super().extra_repr()}, {momentum}"


def _flat(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.flatten()
