"""The fully connected network: 784-100-100-100-10 by default."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from bnbench.config import ModelConfig, NormConfig
from bnbench.models.block import Block, make_linear

__all__ = ["FC"]


class FC(nn.Module):
    """`depth` hidden blocks of `width` features and a linear head without norm.

    Shape:
        (N, C, H, W) in, logits (N, classes) out.
    """

    def __init__(self, model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        sizes = [channels * height * width, *[model.width] * model.depth]
        self.flatten = nn.Flatten()
        self.blocks = nn.ModuleList(
            Block(make_linear(wide, narrow, model, norm), narrow, model, norm)
            for wide, narrow in itertools.pairwise(sizes)
        )
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)  # type: ignore[no-any-return]
