"""Batch normalization over the examples (and positions) of a batch, one pair of statistics a channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.statistics_norm import StatisticsNorm
from bnbench.tensors.memory_layout import feature_major, stored_grad


class BatchNorm(StatisticsNorm):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

    While training, `mean` and `var` are the batch's (divisor N, with N counting positions too) and are blended
    into the running ones; evaluating, they are what `statistics` says, the running ones at first. With a single
    value a channel the N - 1 variance does not exist, and `running_var` is left as it was (blended with 0 where it
    takes divisor N, or is `fused`).

    Args:
        features: Channels C, or features of a 2-D input.
        momentum: Weight of the new batch in the running statistics, in [0, 1] (Keras' 0.99 is 0.01 here).
        eps: Added to the variance.
        affine: Whether to learn `weight` (gamma) and `bias` (beta), each of shape (C,).
        unbiased: Whether `running_var` blends the divisor N - 1 variance, as PyTorch does, or the divisor N
            one, as Keras 3 and TensorFlow's low-level code do.
        fused: Blend as TensorFlow's layers do (tf.layers, Keras 2), instead: divisor N - 1 for (N, C, H, W), for
            which they have a fused kernel, and N for (N, C).
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
        self.momenta: tuple[float, ...] = (momentum,)  # one a trial: they may differ inside a pack
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
        if len(x) * x.shape[2:].numel() == 1 and self._over_batch():
            return self._single_value(x)
        unbiased = self._takes_unbiased(x, len(x) * x.shape[2:].numel())
        if x.shape[2:].numel() > 1:
            return self._normalize(x, unbiased)
        # torch takes a 1x1 map for 2-D data, over which its backward rounds the last channels differently.
        rows = feature_major(x if x.dim() == 2 else x.flatten(1))
        y = self._normalize(rows.unsqueeze(0), unbiased).squeeze(0).t()
        return y if x.dim() == 2 else y[:, :, None, None].contiguous(memory_format=torch.channels_last)

    def _over_batch(self) -> bool:
        """Whether the statistics are those of the input itself."""
        return self.training or self.statistics == Statistics.batch

    def _takes_unbiased(self, x: Tensor, values: int) -> bool:
        """Whether the running variance takes divisor N - 1 of an input with so many values a channel."""
        return x.dim() == 4 and values > 1 if self.fused else self.unbiased

    def _normalize(self, x: Tensor, unbiased: bool) -> Tensor:
        if not self._over_batch():
            return self._kernel(x, *self._evaluation_statistics(), False, 0.0)
        if not self.training:
            return self._kernel(x, None, None, True, 0.0)
        if not unbiased:
            mean, var = x.new_zeros(2, x.shape[1]).unbind()
            y = self._kernel(x, mean, var, True, 1.0)  # leaves the batch's own statistics there, divisor N - 1
            values = x.numel() // x.shape[1]
            self.blend(mean, var * ((values - 1) / values), values, unbiased)
            return y
        momenta = self._next_momenta()
        if len(momenta) == 1:
            running = self._buffers  # as attributes they would be searched for, half a microsecond each
            return self._kernel(x, _flat(running["running_mean"]), _flat(running["running_var"]), True, momenta.pop())
        mean, var = x.new_zeros(2, x.shape[1]).unbind()
        y = self._kernel(x, mean, var, True, 1.0)
        self._blend_as_kernel(mean.view_as(self.running_mean), var.view_as(self.running_var))
        return y

    def _kernel(self, x: Tensor, mean: Tensor | None, var: Tensor | None, over_batch: bool, momentum: float) -> Tensor:
        """Torch's batch norm: with the batch's statistics, blending them into those given, or with those given."""
        affine = self._parameters  # not by attribute, as the buffers above
        weight, bias = _flat(affine["weight"]), _flat(affine["bias"])
        y, *_ = torch.native_batch_norm(x, weight, bias, mean, var, over_batch, momentum, self.eps)
        return stored_grad(y)

    def _next_momenta(self) -> set[float]:
        """The momenta that this batch is blended with."""
        if not self.cumulative:
            return {*self.momenta}
        self.batches += 1
        return {1 / float(self.batches.max())}  # all trials of a pack that are not cleared are at the same batch

    def _blend_as_kernel(self, mean: Tensor, var: Tensor) -> None:
        """Blend a batch's statistics, (K, C), into the running ones of trials whose momenta differ.

        The kernel has one momentum for all channels; this rounds as it does: products in the tensors' own precision,
        but the new variance's, and its sum, in double.
        """
        momentum = torch.tensor(self.momenta, dtype=torch.float64).unsqueeze(1).to(mean)
        keep = 1 - momentum
        self.running_mean.copy_(momentum * mean + keep * self.running_mean)
        self.running_var.copy_(momentum.double() * var.double() + (keep * self.running_var).double())

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
                var = {} if self._takes_unbiased(x, 1) else {"running_var": torch.zeros_like(self.running_var)}
                self.update_running(running_mean=x.detach().reshape(self.running_mean.shape), **var)
        return self.from_rows(self.scale_and_shift(self.rows(x - x)), x)

    def blend(self, mean: Tensor, var: Tensor, values: int, unbiased: bool) -> None:
        """Blend statistics of batches of so many values a channel, `var` given with divisor N, K * C of each."""
        shape = self.running_mean.shape
        if unbiased and values == 1:
            self.update_running(running_mean=mean.view(shape))
            return
        var = var * (values / (values - 1)) if unbiased else var
        self.update_running(running_mean=mean.view(shape), running_var=var.view(shape))

    def batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (divisor N) of each channel."""
        rows = self.rows(x).flatten(1)  # (K*C, N*P)
        mean = rows.mean(1)
        return mean, (rows - mean.unsqueeze(1)).square().mean(1)

    def take_population(self, batches: Sequence[tuple[Tensor, ...]]) -> None:
        """The mean is that of the batches' means, the variance their variances' mean plus their means' variance."""
        means, variances = (torch.stack(values, 1) for values in zip(*batches, strict=True))  # (K*C, batches)
        mean = means.mean(1)
        self.set_population(mean, variances.mean(1) + (means - mean.unsqueeze(1)).square().mean(1))

    def set_population(self, mean: Tensor, var: Tensor) -> None:
        """Take in the training images' statistics, K * C of each, `var` with divisor N."""
        self.precise_mean.copy_(mean.view_as(self.precise_mean))
        self.precise_var.copy_(var.view_as(self.precise_var))

    def update_running(self, **new: Tensor) -> None:
        """Blend a batch's statistics into the running ones of their names; what is not given stays as it was."""
        if self.cumulative:
            self.batches += 1
            momentum, keep = 1 / self.batches, 1 - 1 / self.batches
        else:
            mean = self.running_mean
            momenta = torch.tensor(self.momenta, dtype=torch.float64).view(-1, *[1] * (mean.dim() - 1))
            momentum, keep = momenta.to(mean), (1 - momenta).to(mean)  # both rounded once
        for name, value in new.items():
            # Two roundings on purpose: a fused multiply-add would round the last elements of a tensor otherwise.
            self.get_buffer(name).mul_(keep).add_(value * momentum)

    def extra_repr(self) -> str:
        momentum = "cumulative" if self.cumulative else f"momentum={self.momenta[0]:g}"
        return f"{super().extra_repr()}, {momentum}"


def _flat(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.flatten()
