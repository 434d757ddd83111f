"""Batch norm whose statistics are constants: those of the training images at the start of training."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm


class FrozenBatchNorm(BatchNorm):
    """y = weight * (x - running_mean) / sqrt(running_var + eps) + bias, while training and evaluating.

    `set_population` says the statistics, once, before the first step: those of the training images under the
    initial weights. They are constants to the gradient, so nothing couples the examples of a batch, and batch
    size 1 is like any other; but they no longer describe the activations once the weights have moved.

    Args:
        features: Channels C.
        settings: `BatchNorm`'s eps and affine.
    """

    frozen = True

    def __init__(self, features: int, **settings: Any) -> None:
        super().__init__(features, momentum=0.0, **settings)

    def set_population(self, mean: Tensor, var: Tensor) -> None:
        self.running_mean.copy_(mean.view_as(self.running_mean))
        self.running_var.copy_(var.view_as(self.running_var))

    def _over_batch(self) -> bool:
        # Only where `set_population`'s statistics are being taken.
        return not self.training and self.statistics == Statistics.batch

    def _evaluation_statistics(self) -> tuple[Tensor, Tensor]:
        return self.running_mean.flatten(), self.running_var.flatten()
