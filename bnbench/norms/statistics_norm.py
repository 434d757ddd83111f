"""What norms share that keep statistics while training, of which an evaluation has a choice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from bnbench.config import Statistics
from bnbench.norms.channel_norm import ChannelNorm


class StatisticsNorm(ChannelNorm, ABC):
    """A norm that keeps statistics in buffers while training; evaluating, its `forward` uses those `statistics` names.

    Its accuracy is then recorded under each kind of statistics, and `norm.inference` chooses one for all evaluations.

    Attributes:
        statistics: Which: those kept while training, the evaluated batch's own, the training images' under the present
            weights (`precise`), or what the norm started with.
        frozen: Whether it holds the training images' statistics of before the first step instead: it is given them
            then, and `statistics` has no say but while they are taken.
    """

    frozen: ClassVar[bool] = False

    def __init__(self, features: int, *, eps: float, affine: bool) -> None:
        super().__init__(features, eps=eps, affine=affine)
        self.statistics = Statistics.running

    @abstractmethod
    def batch_statistics(self, x: Tensor) -> tuple[Tensor, ...]:
        """Those of one batch of training images, each (K*C,)."""

    @abstractmethod
    def take_population(self, batches: Sequence[tuple[Tensor, ...]]) -> None:
        """Take in the training images' statistics, given those of their batches: the `precise` ones."""
