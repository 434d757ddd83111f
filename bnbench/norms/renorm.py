"""Batch renormalization: batch norm corrected towards the running statistics, so that batches may be small."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm
from bnbench.norms.standardize import standardize


class BatchRenorm(BatchNorm):
    """In training, y = weight * ((x - mean) / std * r + d) + bias, with the batch's mean and std.

    r = clip(std / running_std, 1/r_max, r_max) and d = clip((mean - running_mean) / running_std, -d_max, d_max),
    with the running statistics before this batch, are constants to the gradient. With r = 1 and d = 0 it is batch norm;
    if neither is clipped, it normalizes with the running statistics. In evaluation,
    y = weight * (x - running_mean) / running_std + bias.

    `running_std` averages std = sqrt(var + eps), with divisor N and starting from 1, and not the variance as batch norm
    does. For standard normal inputs at batch size 2 it goes to 0.56, while batch norm's running variance goes to 1.
    With a single value per channel std is sqrt(eps), the output is weight * d + bias, and no gradient reaches x.

    Args:
        features: Channels C.
        r_max: Largest correction of the scale, at least 1.
        d_max: Largest correction of the shift, at least 0.
        warmup_steps: Steps over which r_max grows from 1 and d_max from 0, linearly.
        settings: The keyword arguments of `BatchNorm`; `unbiased` and `fused` have no effect.

    References:
        Ioffe (2017), arXiv:1702.03275, algorithm 1.
    """

    running_std: Tensor
    steps: Tensor

    def __init__(
        self,
        features: int,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup_steps: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(features, **{**settings, "unbiased": False, "fused": False})
        del self.running_var
        self.register_buffer("running_std", torch.ones(features))
        self.r_max = r_max
        self.d_max = d_max
        self.warmup_steps = warmup_steps
        self.register_buffer("steps", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)  # (K*C, N, P)
        values = rows.shape[1] * rows.shape[2]
        if not self.training:
            return super().forward(x)
        if values == 1 and not self.constant:
            raise ValueError(
                f"batch renormalization of one value per channel, input {tuple(x.shape)}, passes no gradient; "
                "set norm.single_value=constant to train it all the same"
            )
        y, mean, var = standardize(rows.flatten(1), _mean_over_batch, self.eps)
        with torch.no_grad():
            std, running_std = torch.sqrt(var + self.eps), self.running_std.view_as(var)
            r_max, d_max = self._limits()
            r = (std / running_std).clamp(1 / r_max, r_max)
            d = ((mean - self.running_mean.view_as(mean)) / running_std).clamp(-d_max, d_max)
            self.steps += 1
            shape = self.running_mean.shape
            self.update_running(running_mean=mean.view(shape), running_std=std.view(shape))
        return self.from_rows(self.scale_and_shift((y * r + d).view_as(rows)), x)

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        if self.statistics == Statistics.precise:
            return super().evaluation_statistics()
        mean, std = self.running_mean.flatten(), self.running_std.flatten()
        if self.statistics == Statistics.initial:
            mean, std = torch.zeros_like(mean), torch.ones_like(std)
        return mean, std.square() - self.eps  # the kernel adds eps again

    def _limits(self) -> tuple[float, float]:
        """r_max and d_max at this step, which is the same for all slots of a pack that were not cleared."""
        if self.warmup_steps == 0:
            return self.r_max, self.d_max
        share = min(1.0, float(self.steps.max()) / self.warmup_steps)
        return 1 + (self.r_max - 1) * share, self.d_max * share


def _mean_over_batch(rows: Tensor) -> Tensor:
    return rows.mean(1, keepdim=True)
