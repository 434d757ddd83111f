"""The fully connected network: 784-100-100-100-10 by default."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from bnbench.config import ModelConfig, NormConfig
from bnbench.models.block import Block, make_head, make_linear, make_logits_norm


class FC(nn.Module):
    """Hidden blocks of `hidden_widths` features and a linear head. Without hidden blocks it is logistic regression.

    Shape:
        (N, C, H, W) in, logits (N, classes) out.
    """

    def __init__(self, model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        sizes = [channels * height * width, *model.hidden_widths]
        self.flatten = nn.Flatten()
        self.blocks = nn.ModuleList(
            Block(make_linear(in_features, out_features, model, norm), out_features, model, norm)
            for in_features, out_features in itertools.pairwise(sizes)
        )
        self.head = make_head(sizes[-1], classes, model, norm)
        self.logits = make_logits_norm(classes, norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(x)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x)
        return logits if self.logits is None else self.logits(logits)
