"""The deep CNN: 3x3 convs of growing width, every third with stride 2, then one fully connected layer."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.config import ModelConfig, NormConfig
from bnbench.models.block import Block, make_conv, make_head, make_linear, make_logits_norm, make_padding
from bnbench.models.geometry import conv_layers


class CNN(nn.Module):
    """`depth` conv blocks, a fully connected block of `hidden` features (none for 0), and a linear head.

    With 28x28 images, depth 19 and width 4 it is the 20-layer network of batch norm tutorials, and its last maps have
    1x1 pixels. Its conv layers are those of `conv_layers`.

    Shape:
        (N, C, H, W) in, logits (N, classes) out.
    """

    def __init__(self, model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        convs = conv_layers(model, image_shape)
        self.blocks = nn.ModuleList(
            Block(make_conv(conv, model, norm), conv.out_channels, model, norm, make_padding(conv)) for conv in convs
        )
        last = convs[-1]
        self.flatten = nn.Flatten()
        flat = last.out_channels * last.height * last.width
        dense = make_linear(flat, model.hidden, model, norm) if model.hidden else None
        self.hidden = nn.Identity() if dense is None else Block(dense, model.hidden, model, norm)
        self.head = make_head(model.hidden or flat, classes, model, norm)
        self.logits = make_logits_norm(classes, norm)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.hidden(self.flatten(x)))
        return logits if self.logits is None else self.logits(logits)
