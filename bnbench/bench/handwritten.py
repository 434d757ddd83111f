"""The hand-written side: the tightest plain PyTorch loop for one trial that a good engineer would write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.bench.ceiling import product_rate
from bnbench.bench.plain import batch_loss, parameter_count, plain_network, plain_optimizer, training_loss
from bnbench.bench.workloads import load_images, trials_of
from bnbench.config import Trial
from bnbench.data import ImageData, scaling, split_data
from bnbench.seeding import generator

__all__ = ["Side"]

_WARM_SECONDS = 0.15
_PROBE_IMAGES = 512


class Side:
    """A process of the hand-written side.

    Images are float tensors in memory, batches `index_select`ed along a permutation drawn once an epoch, modules
    torch's, ReLUs in place, optimizers fused, memory channels_last where that is faster. It logs nothing and
    evaluates nothing.
    """

    def prepare(self, overrides: list[str], folder: str, threads: int | None) -> dict[str, Any]:
        """Build and warm up a trial.

        Args:
            overrides: The workload's.
            folder: Where images are kept once parsed.
            threads: Of torch; None for its default.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        (trial,) = trials_of(overrides, [0])
        data = load_images(tuple(overrides), Path(folder))
        conv = any(isinstance(m, nn.Conv2d) for m in plain_network(trial, data.shape, data.classes))
        loops = [_Loop(trial, data, layout) for layout in _layouts(conv)]
        for loop in loops:
            loop.run(_WARM_SECONDS)
        self._loop = max(loops, key=lambda loop: loop.run(_WARM_SECONDS)) if len(loops) > 1 else loops[0]
        return {
            "parameters": parameter_count(self._loop.net),
            "layout": str(self._loop.layout).removeprefix("torch."),
            "threads": torch.get_num_threads(),
        }

    def run(self, seconds: float) -> dict[str, float]:
        """Trial-steps a second over that long, and the training loss before and after."""
        before = self._loop.loss()
        rate = self._loop.run(seconds)
        return {"rate": rate, "loss_before": before, "loss_after": self._loop.loss()}

    def product_rate(self, seconds: float) -> float:
        """Multiply-adds a second of a large matrix product on one thread."""
        torch.set_num_threads(1)
        return product_rate(seconds)


def _layouts(conv: bool) -> list[torch.memory_format]:
    return [torch.contiguous_format, torch.channels_last] if conv else [torch.contiguous_format]


class _Loop:
    def __init__(self, trial: Trial, data: ImageData, layout: torch.memory_format) -> None:
        self.layout = layout
        self.net = plain_network(trial, data.shape, data.classes).to(memory_format=layout)  # type: ignore[call-overload]
        for leaf in self.net:
            if isinstance(leaf, nn.ReLU):
                leaf.inplace = True  # no leaf before it needs its own output for the gradient
        self._optimizer = plain_optimizer(trial.optimizer, trial.lr, self.net, fused=True)
        self._trial = trial
        self._images, self._labels = _tensors(trial, data, layout)
        self._epoch = 0

    def loss(self) -> float:
        """On the first training images, in one batch."""
        images, labels = self._images[:_PROBE_IMAGES], self._labels[:_PROBE_IMAGES]
        return training_loss(self.net, images, labels, self._trial.training.loss)

    def run(self, seconds: float) -> float:
        """Steps a second, of at least that long and one step."""
        images, labels, net, optimizer = self._images, self._labels, self.net, self._optimizer
        loss_of = batch_loss(self._trial.training.loss)
        size = self._trial.training.batch_size
        used = len(images) // size * size
        steps = 0
        started = time.perf_counter()
        while True:
            self._epoch += 1
            order = torch.randperm(len(images), generator=generator(self._trial.seed, "bench", self._epoch))
            for rows in order[:used].view(-1, size).unbind():
                loss = loss_of(net(images.index_select(0, rows)), labels.index_select(0, rows))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                steps += 1
                elapsed = time.perf_counter() - started
                if elapsed >= seconds:
                    return steps / elapsed


def _tensors(trial: Trial, data: ImageData, layout: torch.memory_format) -> tuple[Tensor, Tensor]:
    """The training images, scaled, and their labels."""
    split = split_data(data, kind=trial.data.split, seed=trial.seed, train_examples=trial.data.train_examples)
    scale, shift = (torch.from_numpy(v).view(1, -1, 1, 1) for v in scaling(data, split, trial.data.scaling))
    images = torch.from_numpy(data.images[split.train]) * scale + shift
    images = images.to(getattr(torch, trial.training.precision)).contiguous(memory_format=layout)
    return images, torch.from_numpy(data.labels[split.train])
