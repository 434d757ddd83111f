"""The base class of norms that keep statistics in training, and let an evaluation choose which to use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.channel_norm import ChannelNorm


class StatisticsNorm(ChannelNorm, ABC):
    """A norm that keeps statistics in buffers in training. In evaluation it uses those that `statistics` names.

    The accuracy of a trial with such a norm is recorded under each kind of statistics; `norm.inference` chooses the
    kind for all other evaluations.

    Attributes:
        statistics: The kind: the running ones, those of the batch being evaluated, those of the training images under
            the present weights (`precise`), or those the norm started with.
        frozen: Whether it always uses the statistics of the training images before the first step. `statistics` then
            has an effect only while those are computed.
    """

    frozen: ClassVar[bool] = False

    def __init__(self, features: int, *, eps: float, affine: bool) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.statistics = Statistics.running

    @abstractmethod
    def batch_statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        """The statistics of one batch of training images, each (K*C,).

        Args:
            x: The norm's input, (N, K*C) or (N, K*C, H, W).
        """

    @abstractmethod
    def take_population(self, batches: Sequence[tuple[Tensor, ...]]) -> None:
        """Set the `precise` statistics, those of all training images.

        Args:
            batches: The results of `batch_statistics` for each batch of the training images.
        """
