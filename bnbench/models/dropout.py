"""Dropout whose masks are each trial's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from bnbench.tensors.drawing import Draws
from bnbench.tensors.memory_layout import stored_grad


class Dropout(Draws):
    """While training, each value is 0 with probability `p` and otherwise itself / (1 - p); evaluating, itself.

    Args:
        p: Probability, in [0, 1).

    Shape:
        (N, C) or (N, C, H, W), and the same out; K * C channels where folded.

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), JMLR 15.
    """

    keep: Tensor
    factor: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.register_draws()
        # Per trial, so that probabilities may differ inside a pack.
        keep = torch.tensor([1 - p], dtype=torch.float64)
        self.register_buffer("keep", keep, persistent=False)
        self.register_buffer("factor", 1 / keep, persistent=False)

    @classmethod
    def fold(cls, layers: Sequence[Self]) -> Self:
        """K layers as one on K * C channels."""
        folded = copy.copy(layers[0])
        folded._buffers = {name: torch.stack([getattr(layer, name) for layer in layers]) for name in layers[0]._buffers}
        return folded

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return stored_grad(x * self._mask(x))

    def _mask(self, x: Tensor) -> Tensor:
        """What this step multiplies with, stored as `x` is: (K*C, N), or (N, H, W, K*C)."""
        N, channels, *positions = x.shape
        K = len(self.keep)
        own = (N, *positions, channels // K) if positions else (channels // K, N)
        settings = (self.next_generators("dropout"), self.keep.flatten().tolist(), self.factor.flatten().tolist())
        masks = [
            torch.empty(own, dtype=x.dtype).bernoulli_(keep, generator=g).mul_(factor)
            for g, keep, factor in zip(*settings, strict=True)
        ]
        if positions:
            return torch.cat(masks, -1).permute(0, 3, 1, 2).to(x.device)
        return torch.cat(masks).t().to(x.device)

    def extra_repr(self) -> str:
        return f"p={1 - float(self.keep.flatten()[0]):g}"
