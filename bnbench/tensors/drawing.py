"""The base of layers that draw random numbers while training: a random stream for each trial and step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnbench.tensors.seeding import generator


class Draws(nn.Module):
    """A layer whose random draws depend on the seed given to `reseed` and on the number of steps taken alone.

    A trial therefore draws the same numbers alone and in any slot of any pack. A folded layer has K seeds.

    Attributes:
        by_counter: Whether it draws what the kernels of the lanes draw (`counter_draws`), not from torch's generators.
    """

    by_counter = False
    seeds: Tensor
    steps: Tensor

    def register_draws(self) -> None:
        """Register the buffers, without which nothing can be drawn."""
        self.register_buffer("seeds", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.register_buffer("steps", torch.zeros(1), persistent=False)

    def reseed(self, seed: int) -> None:
        """Set the seed of the draws."""
        self.seeds.fill_(seed)

    def next_step(self) -> tuple[int, list[int]]:
        """The number of this step, from 0, and each trial's seed; each call counts as a step."""
        step = int(self.steps.max())
        self.steps += 1
        return step, self.seeds.flatten().tolist()

    def next_generators(self, purpose: str) -> list[torch.Generator]:
        """A CPU generator for each trial's draws of this step; each call counts as a step."""
        step, seeds = self.next_step()
        return [generator(seed, purpose, step) for seed in seeds]
