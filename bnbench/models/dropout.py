"""Dropout that draws each trial's masks from that trial's seed, alone or in a pack."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from bnbench.tensors.counter_draws import Drawn, uniforms
from bnbench.tensors.drawing import Draws
from bnbench.tensors.memory_layout import stored_grad


class Dropout(Draws):
    """In training mode each value becomes 0 with probability `p`, else value / (1 - p). In evaluation it stays.

    Args:
        p: Probability, in [0, 1).

    Shape:
        (N, C) or (N, C, H, W), and the same out; K * C channels if K layers are folded.

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), JMLR 15.
    """

    keep_probability: Tensor
    scale: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.register_draws()
        # One value for each trial, (1,) or folded (K, 1), so that probabilities may differ inside a pack.
        keep_probability = torch.tensor([1 - p], dtype=torch.float64)
        self.register_buffer("keep_probability", keep_probability, persistent=False)
        self.register_buffer("scale", 1 / keep_probability, persistent=False)

    @property
    def p(self) -> float:
        """The probability, of the first trial in a pack: what torch's dropout calls so."""
        return 1 - float(self.keep_probability.flatten()[0])

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> Self:
        """One layer on K * C channels that does what these K layers do on C channels each."""
        folded = copy.copy(layers[0])
        folded._buffers = {name: torch.stack([getattr(layer, name) for layer in layers]) for name in layers[0]._buffers}
        return folded

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return stored_grad(x * self._mask(x))

    def _mask(self, x: Tensor) -> Tensor:
        """The factors of this step, 0 or 1 / (1 - p), shaped as `x` and stored as it is: (K*C, N) or (N, H, W, K*C)."""
        N, channels, *positions = x.shape
        K = len(self.keep_probability)
        mask_shape = (N, *positions, channels // K) if positions else (channels // K, N)
        probabilities, scales = self.keep_probability.flatten().tolist(), self.scale.flatten().tolist()
        if self.by_counter:
            return self._mask_by_counter(x, channels // K, probabilities, scales)
        masks = [
            torch.empty(mask_shape, dtype=x.dtype).bernoulli_(probability, generator=g).mul_(scale)
            for g, probability, scale in zip(self.next_generators("dropout"), probabilities, scales, strict=True)
        ]
        if positions:
            return torch.cat(masks, -1).permute(0, 3, 1, 2).to(x.device)
        return torch.cat(masks).t().to(x.device)

    def _mask_by_counter(self, x: Tensor, channels: int, kept: list[float], scales: list[float]) -> Tensor:
        """The factors of this step as the kernels draw them, stored as `x` is."""
        N, _, *positions = x.shape
        step, seeds = self.next_step()
        masks = []
        for seed, probability, scale in zip(seeds, kept, scales, strict=True):
            drawn = uniforms(seed, Drawn.dropped, step, N * math.prod(positions), channels)
            dropped = torch.tensor(1 - probability, dtype=torch.float32).double()  # rounded as the kernels have it
            masks.append((drawn >= dropped).to(x.dtype).mul_(scale).view(N, *positions, channels))
        mask = torch.cat(masks, -1).to(x.device)
        return mask.permute(0, 3, 1, 2) if positions else mask

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
