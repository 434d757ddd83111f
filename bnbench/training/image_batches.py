"""The images in memory, and batches of them gathered for K trials at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bnbench.data import ImageData, Split, pixels, scaling, split_data
from bnbench.lanes.network import LabelledImages
from bnbench.packing.pack import Pack
from bnbench.packing.packed_trials import PackedTrials
from bnbench.tensors.seeding import generator


class BatchOrder:
    """Which training images each step sees, for one seed.

    Each epoch is permuted with a random stream of its own, so the batch of any step can be computed without those
    before it. The last partial batch of an epoch is dropped.

    Args:
        seed: The seed of the trial.
        train: Rows of the training split in the data set.
        batch_size: N.
    """

    def __init__(self, seed: int, train: np.ndarray, batch_size: int) -> None:
        self._seed = seed
        self._train = train
        self._shape = (len(train) // batch_size, batch_size)
        self._epoch = -1
        self._batches = np.empty((0, batch_size), dtype=np.int64)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the data set for steps `start` to `stop` (not included), shape (stop - start, N)."""
        return np.stack([self._batch(*divmod(step, self._shape[0])) for step in range(start, stop)])

    def _batch(self, epoch: int, index: int) -> np.ndarray:
        if epoch != self._epoch:
            order = torch.randperm(len(self._train), generator=generator(self._seed, "order", epoch)).numpy()
            self._batches = self._train[order[: self._shape[0] * self._shape[1]]].reshape(self._shape)
            self._epoch = epoch
        batch: np.ndarray = self._batches[index]
        return batch


class PackImages:
    """One data set as seen by the K slots of a pack.

    Args:
        data: The images, uint8.
        trials: The trials of the pack.
        device: Where the images are kept and batches gathered; None for the device that the trials are trained on.
    """

    def __init__(self, data: ImageData, trials: PackedTrials, device: torch.device | str | None = None) -> None:
        shared = trials.shared
        device = device or shared.training.device
        self.images = torch.from_numpy(pixels(data, shared.data.scaling)).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        by_seed = {
            t.seed: split_data(data, kind=t.data.split, seed=t.seed, train_examples=t.data.train_examples)
            for t in trials.by_slot
        }
        self.splits: list[Split] = [by_seed[t.seed] for t in trials.by_slot]
        self._batch_size = shared.training.batch_size
        self._seeds = [t.seed for t in trials.by_slot]
        self._orders = {
            t.seed: BatchOrder(t.seed, by_seed[t.seed].train, t.training.batch_size) for t in trials.by_slot
        }
        scales = {t.seed: scaling(data, by_seed[t.seed], t.data.scaling) for t in trials.by_slot}
        dtype = getattr(torch, shared.training.precision)
        factors, shifts = (torch.from_numpy(np.stack([scales[t.seed][i] for t in trials.by_slot])) for i in (0, 1))
        self._scale = factors.to(device, dtype).view(1, -1, 1, 1)
        self._shift = shifts.to(device, dtype).view(1, -1, 1, 1)

    @property
    def source(self) -> LabelledImages:
        """The images as the kernels take them, in single precision."""
        scale, shift = (x.view(len(self.splits), -1) for x in (self._scale, self._shift))
        return LabelledImages(self.images, self.labels, scale, shift)

    def of(self, slots: Sequence[int]) -> PackImages:
        """The same images, as seen by some of the slots."""
        chosen = copy.copy(self)
        chosen.splits = [self.splits[slot] for slot in slots]
        chosen._seeds = [self._seeds[slot] for slot in slots]
        channels = self._scale.shape[1] // len(self.splits)
        chosen._scale, chosen._shift = (
            x.view(-1, channels)[[*slots]].view(1, -1, 1, 1) for x in (self._scale, self._shift)
        )
        return chosen

    def double(self) -> PackImages:
        """The same images as double-precision numbers."""
        precise = copy.copy(self)
        precise._scale, precise._shift = self._scale.double(), self._shift.double()
        return precise

    def replaced(self, rows: Tensor, images: Tensor) -> PackImages:
        """The same data set with other images in some of its rows."""
        changed = copy.copy(self)
        changed.images = self.images.index_copy(0, rows, images)
        return changed

    def train_rows(self, start: int, stop: int) -> Tensor:
        """Rows of the data set for the slots' training steps, shape (stop - start, K, N)."""
        by_seed = {seed: order.rows(start, stop) for seed, order in self._orders.items()}
        return torch.from_numpy(np.stack([by_seed[seed] for seed in self._seeds], axis=1)).to(self.images.device)

    def first_train_rows(self, count: int) -> Tensor:
        """The first `count` rows of each slot's training, at most an epoch's, shape (K, n)."""
        steps = min(-(-count // self._batch_size), len(self.splits[0].train) // self._batch_size)
        rows = self.train_rows(0, steps)  # (S, K, N)
        return rows.transpose(0, 1).flatten(1)[:, :count]

    def rows(self, part: str, count: int) -> Tensor:
        """The first `count` rows of each slot's `val` or `test` split, shape (K, count)."""
        rows = np.stack([getattr(split, part)[:count] for split in self.splits])
        return torch.from_numpy(rows).to(self.images.device)

    def batch(self, pack: Pack, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The images of rows (K, N), scaled and stored as `pack.forward` needs them, and their labels (K, N)."""
        K, N = rows.shape
        flat = rows.flatten()
        images = self.images.index_select(0, flat).view(K, N, *self.images.shape[1:])
        x = pack.fold(images, self._scale.dtype).mul_(self._scale).add_(self._shift)
        return x, self.labels.index_select(0, flat).view(K, N)
