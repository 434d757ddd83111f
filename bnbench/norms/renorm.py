"""Batch renormalization: batch norm corrected towards the running statistics, so that small batches train alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnbench.norms.batch import BatchNorm
from bnbench.norms.standardize import standardize

__all__ = ["BatchRenorm"]


class BatchRenorm(BatchNorm):
    """While training, y = weight * ((x - mean) / sigma * r + d) + bias, with the batch's mean and sigma.

    r = clip(sigma / running_sigma, 1/r_max, r_max) and d = clip((mean - running_mean) / running_sigma, -d_max,
    d_max) are constants to the gradient; with r = 1 and d = 0 it is batch norm, and where neither is clipped it
    normalizes with the running statistics. Evaluation is batch norm's. sigma = sqrt(var + eps), divisor N.
    With a single value a channel the output is weight * d + bias, and what comes before gets no gradient.

    Args:
        features: Channels C.
        r_max: Largest correction of the scale, at least 1.
        d_max: Largest correction of the shift, at least 0.
        warmup_steps: Steps over which r_max grows from 1 and d_max from 0, linearly.
        settings: `BatchNorm`'s.

    References:
        Ioffe (2017), arXiv:1702.03275, algorithm 1.
    """

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
        super().__init__(features, **settings)
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
        y, mean, var = standardize(rows.flatten(1), _over_batch, self.eps)
        with torch.no_grad():
            running_sigma = torch.sqrt(self.running_var.view_as(var) + self.eps)
            r_max, d_max = self._limits()
            r = (torch.sqrt(var + self.eps) / running_sigma).clamp(1 / r_max, r_max)
            d = ((mean - self.running_mean.view_as(mean)) / running_sigma).clamp(-d_max, d_max)
            self.steps += 1
            self.blend(mean, var, values)
        return self.from_rows(self.scale_and_shift((y * r + d).view_as(rows)), x)

    def _limits(self) -> tuple[float, float]:
        """r_max and d_max at this step; all trials of a pack that are not cleared are at the same one."""
        if self.warmup_steps == 0:
            return self.r_max, self.d_max
        share = min(1.0, float(self.steps.max()) / self.warmup_steps)
        return 1 + (self.r_max - 1) * share, self.d_max * share


def _over_batch(rows: Tensor) -> Tensor:
    return rows.mean(1, keepdim=True)
