"""A model's layers, sizes and norms, worked out without building it."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from bnbench.config import LogitsNorm, ModelConfig, NormConfig, Padding
from bnbench.norms import Norm, norm_kind

if TYPE_CHECKING:
    from bnbench.models.own import Survey


class Conv(NamedTuple):
    """One conv layer of the deep CNN: 3x3."""

    in_channels: int
    out_channels: int
    stride: int
    padding: tuple[int, int, int, int]  # zeros to the left, to the right, above and below
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
            stride = 2
            padding = (*_around(width, model.padding), *_around(height, model.padding))
            height, width = halved
        else:
            stride, padding = 1, (1, 1, 1, 1)
        layers.append(Conv(channels, model.width * index, stride, padding, height, width))
        channels = model.width * index
    return layers


def _around(size: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after a side that stride 2 halves."""
    return (0, 1) if padding == Padding.same and size % 2 == 0 else (1, 1)


def norm_sites(
    model: ModelConfig, image_shape: tuple[int, int, int], classes: int, *, logits: bool = False
) -> list[NormSite]:
    """Every place where `norm=` puts a norm, in the order of the forward pass.

    Args:
        model: Its configuration.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
        logits: Whether they are normalized too.
    """
    if model.name == "custom":
        return _survey(model, image_shape, classes).sites
    if model.name == "fc":
        sites = [NormSite(f"blocks.{i}", width, 1) for i, width in enumerate(model.hidden_widths)]
    else:
        layers = conv_layers(model, image_shape)
        sites = [NormSite(f"blocks.{i}", conv.out_channels, conv.height * conv.width) for i, conv in enumerate(layers)]
        sites += [NormSite("hidden", model.hidden, 1)] if model.hidden else []
    return [*sites, NormSite("logits", classes, 1)] if logits else sites


def site_kind(model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> Norm:
    """What is known of the norm; a layer of the user's own is looked at as the first place for it has it.

    Args:
        model: Its configuration.
        norm: The norm's.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    if norm.name != "custom":
        return norm_kind(norm, 0)
    sites = norm_sites(model, image_shape, classes, logits=norm.logits != LogitsNorm.none)
    return norm_kind(norm, sites[0].channels)


class Work(NamedTuple):
    """What one example's forward pass takes, and what a network holds."""

    linear: int  # multiply-adds of linear layers
    conv: int  # multiply-adds of conv layers
    activations: int  # values that layers put out
    layers: int
    weights: int
    conv_channels: tuple[int, ...] = ()  # output channels of each conv layer


def work(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Work:
    """The work of a model without its norms.

    Args:
        model: Its configuration.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    if model.name == "custom":
        return _survey(model, image_shape, classes).work
    if model.name == "fc":
        sizes = [math.prod(image_shape), *model.hidden_widths, classes]
        linear = sum(a * b for a, b in itertools.pairwise(sizes))
        return Work(linear, 0, sum(sizes[1:]), len(sizes), linear)
    convs = conv_layers(model, image_shape)
    macs = sum(9 * c.in_channels * c.out_channels * c.height * c.width for c in convs)
    last = convs[-1]
    sizes = [last.out_channels * last.height * last.width, *([model.hidden] if model.hidden else []), classes]
    linear = sum(a * b for a, b in itertools.pairwise(sizes))
    activations = sum(c.out_channels * c.height * c.width for c in convs)
    weights = linear + sum(9 * c.in_channels * c.out_channels for c in convs)
    return Work(linear, macs, activations, len(convs) + 2, weights, tuple(c.out_channels for c in convs))


def _survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    """Of a network of the user's own, which takes torch and a pass to tell."""
    from bnbench.models.own import survey

    return survey(model, image_shape, classes)
