"""The fastest plain PyTorch loop for one trial that a good engineer would write."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from bnbench.bench.plain import batch_loss, plain_network, plain_optimizer, training_loss
from bnbench.config import Trial
from bnbench.data import ImageData, scaling, split_data
from bnbench.tensors.seeding import generator

_WARM_SECONDS = 0.15
_PROBE_IMAGES = 512


def fastest_loop(trial: Trial, data: ImageData) -> Loop:
    """The trial's loop, warmed up; its conv layers use channels_last where that is faster."""
    conv = any(isinstance(m, nn.Conv2d) for m in plain_network(trial, data.shape, data.classes).modules())
    loops = [Loop(trial, data, layout) for layout in _layouts(conv)]
    for loop in loops:
        loop.run(_WARM_SECONDS)
    return max(loops, key=lambda loop: loop.run(_WARM_SECONDS)) if len(loops) > 1 else loops[0]


def _layouts(conv: bool) -> list[torch.memory_format]:
    return [torch.contiguous_format, torch.channels_last] if conv else [torch.contiguous_format]


class Loop:
    """One trial's training steps, as fast as a good engineer would write them in plain PyTorch.

    Images are float tensors in memory, batches are `index_select`ed along a permutation drawn once per epoch,
    modules are torch's, ReLUs work in place and optimizers are fused. It logs nothing and evaluates nothing.

    Args:
        trial: The trial.
        data: The trial's images.
        layout: How activations of conv layers lie in memory.
    """

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
        """The loss on the first training images, in one batch."""
        images, labels = self._images[:_PROBE_IMAGES], self._labels[:_PROBE_IMAGES]
        return training_loss(self.net, images, labels, self._trial.training.loss)

    def run(self, seconds: float) -> float:
        """Train for at least `seconds` and one step; returns the steps per second."""
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
