"""Batch norm with constant statistics: those of the training images at the start of training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm


class FrozenBatchNorm(BatchNorm):
    """y = weight * (x - running_mean) / sqrt(running_var + eps) + bias, in training and evaluation.

    `set_population` sets the statistics once, before the first step, to those of the training images under the initial
    weights. To the gradient they are constants, so no example of a batch depends on another, and batch size 1 is no
    special case. They no longer describe the activations once the weights have changed.

    Args:
        features: Channels C.
        settings: `eps` and `affine` of `BatchNorm`.
    """

    frozen = True

    def __init__(self, features: int, **settings: Any) -> None:
        super().__init__(features, momentum=0.0, **settings)

    def set_population(self, mean: Tensor, var: Tensor) -> None:
        self.running_mean.copy_(mean.view_as(self.running_mean))
        self.running_var.copy_(var.view_as(self.running_var))

    def _uses_batch_statistics(self) -> bool:
        # Only while the statistics for `set_population` are being computed.
        return not self.training and self.statistics == Statistics.batch

    def evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        return self.running_mean.flatten(), self.running_var.flatten()
