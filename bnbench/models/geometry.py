"""Where a model's norms sit and how many values each one sees, worked out without building the model."""

from __future__ import annotations

from typing import NamedTuple

from bnbench.config import ModelConfig

__all__ = ["Conv", "NormSite", "conv_layers", "norm_sites"]


class Conv(NamedTuple):
    """One conv layer of the deep CNN: 3x3, zero padding 1."""

    in_channels: int
    out_channels: int
    stride: int
    height: int  # of its output
    width: int


class NormSite(NamedTuple):
    """A place for a norm: its block's name, channels, and values a channel for each example (H * W)."""

    block: str
    channels: int
    positions: int


def conv_layers(model: ModelConfig, image_shape: tuple[int, int, int]) -> list[Conv]:
    """The deep CNN's conv layers: `width * l` channels in layer l = 1, 2, …, every `stride_every`-th with stride 2.

    A stride that would leave a map smaller than `min_map` on either side becomes 1.

    Args:
        model: Its configuration.
        image_shape: (C, H, W) of the input.
    """
    channels, height, width = image_shape
    layers = []
    for index in range(1, model.depth + 1):
        halved = (height + 1) // 2, (width + 1) // 2
        if index % model.stride_every == 0 and min(halved) >= model.min_map:
            stride, (height, width) = 2, halved
        else:
            stride = 1
        layers.append(Conv(channels, model.width * index, stride, height, width))
        channels = model.width * index
    return layers


def norm_sites(model: ModelConfig, image_shape: tuple[int, int, int]) -> list[NormSite]:
    """Every place where `norm=` puts a norm, in the order of the forward pass."""
    if model.name == "fc":
        return [NormSite(f"blocks.{i}", model.width, 1) for i in range(model.depth)]
    layers = conv_layers(model, image_shape)
    convs = [NormSite(f"blocks.{i}", conv.out_channels, conv.height * conv.width) for i, conv in enumerate(layers)]
    return [*convs, NormSite("hidden", model.hidden, 1)] if model.hidden else convs
