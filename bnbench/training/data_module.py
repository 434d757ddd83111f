"""The Lightning data module of a pack: a batch is a block of steps, as rows of a data set in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytorch_lightning as pl
from torch import Tensor

from bnbench.config.evaluation_grid import evaluation_steps, measured_steps
from bnbench.data import ImageData
from bnbench.packing.packed_trials import PackedTrials
from bnbench.training.image_batches import PackImages

_MAX_BLOCK = 128


class Block(NamedTuple):
    """Consecutive optimizer steps.

    Attributes:
        start: Steps taken before the block.
        rows: Rows of the data set, shape (S, K, N).
    """

    start: int
    rows: Tensor


class PackDataModule(pl.LightningDataModule):
    """Feeds a pack its training blocks, each slot in its own order.

    A block ends at every evaluation and measurement, so a callback at its end sees the network exactly there.
    Blocks start where training stands (`trainer.global_step`), for Lightning restarts its loader at the first one.

    Args:
        data: The images.
        trials: The trials of the pack.
    """

    def __init__(self, data: ImageData, trials: PackedTrials) -> None:
        super().__init__()
        self.images = PackImages(data, trials)
        self.steps = trials.shared.steps
        self._ends = _block_ends(sorted({*evaluation_steps(trials.shared), *measured_steps(trials.shared)}))

    def train_dataloader(self) -> Iterator[Block]:
        done = self.trainer.global_step if self.trainer is not None else 0
        return self._blocks(done)

    def _blocks(self, start: int) -> Iterator[Block]:
        for end in self._ends:
            if end > start:
                yield Block(start, self.images.train_rows(start, end))
                start = end


def _block_ends(observed_steps: list[int]) -> list[int]:
    """The steps after which blocks end: each that a callback observes, and some between, at most 128 steps apart."""
    ends: list[int] = []
    for start, stop in itertools.pairwise(observed_steps):
        ends += [*range(start + _MAX_BLOCK, stop, _MAX_BLOCK), stop]
    return ends
