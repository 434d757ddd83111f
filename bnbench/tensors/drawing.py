"""What layers share that draw random numbers while training: a stream for each trial and step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnbench.tensors.seeding import generator


class Draws(nn.Module):
    """A layer whose draws depend on `reseed`'s seed and on how many steps were taken, on nothing else.

    So a trial draws the same alone and in any slot of any pack. Folded, it has a seed for each of K trials.
    """

    seeds: Tensor
    steps: Tensor

    def register_draws(self) -> None:
        """Make the buffers; before that, nothing can be drawn."""
        self.register_buffer("seeds", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.register_buffer("steps", torch.zeros(1), persistent=False)

    def reseed(self, seed: int) -> None:
        """Key the draws."""
        self.seeds.fill_(seed)

    def next_generators(self, purpose: str) -> list[torch.Generator]:
        """A CPU generator for each trial's draws of this step, which counts as taken."""
        step = int(self.steps.max())
        self.steps += 1
        return [generator(seed, purpose, step) for seed in self.seeds.flatten().tolist()]
