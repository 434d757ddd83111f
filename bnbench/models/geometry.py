"""Works out a model's layers, their sizes and the places for norms, without building it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from bnbench.config import ALL_MODELS, LogitsNorm, ModelConfig, NormConfig, Padding
from bnbench.config.imported import imported
from bnbench.norms import Norm, norm_kind


class NormSite(NamedTuple):
    """A place for a norm."""

    block: str  # name of the block it is in
    channels: int
    positions: int  # values of one channel in one example: H * W, 1 for features


class Work(NamedTuple):
    """How much work the forward pass of one example is, and how large the network is."""

    linear: int  # multiply-adds of linear layers
    conv: int  # multiply-adds of conv layers
    activations: int  # output values of all linear and conv layers
    layers: int  # linear and conv layers, plus 1
    weights: int  # numbers in the weights, without biases
    conv_channels: tuple[int, ...] = ()  # output channels of each conv layer


@dataclass(frozen=True)
class Geometry:
    """The places for norms in a network, and its work without them.

    Attributes:
        sites: Every place where `norm=` puts a norm, except the logits, in the order of the forward pass.
        work: The work of a forward pass.
    """

    sites: list[NormSite]
    work: Work


class Layer(NamedTuple):
    """A linear or conv layer of a network, from which its geometry follows.

    Attributes:
        block: The name of the block it is in, or of the layer itself if it is in none.
        inputs: How many values each output value is computed from.
        channels: Channels or features of its output.
        positions: Pixels of its output, H * W; 1 for features.
        conv: Whether it is a conv layer.
        normed: Whether it is in a block, which has a place for a norm.
    """

    block: str
    inputs: int
    channels: int
    positions: int = 1
    conv: bool = False
    normed: bool = True


def geometry_of(layers: Sequence[Layer]) -> Geometry:
    """The geometry of a network, from its layers in the order of the forward pass."""
    macs = [layer.inputs * layer.channels * layer.positions for layer in layers]
    return Geometry(
        [NormSite(layer.block, layer.channels, layer.positions) for layer in layers if layer.normed],
        Work(
            linear=sum(count for count, layer in zip(macs, layers, strict=True) if not layer.conv),
            conv=sum(count for count, layer in zip(macs, layers, strict=True) if layer.conv),
            activations=sum(layer.channels * layer.positions for layer in layers),
            layers=len(layers) + 1,
            weights=sum(layer.inputs * layer.channels for layer in layers),
            conv_channels=tuple(layer.channels for layer in layers if layer.conv),
        ),
    )


def norm_sites(
    model: ModelConfig, image_shape: tuple[int, int, int], classes: int, *, logits: bool = False
) -> list[NormSite]:
    """Every place where `norm=` puts a norm, in the order of the forward pass.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
        logits: Whether the logits are normalized too.
    """
    sites = _geometry(model, image_shape, classes).sites
    return [*sites, NormSite("logits", classes, 1)] if logits else sites


def site_kind(model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> Norm:
    """The entry of the norm in this model. A custom norm is made with the channels of its first place to find out.

    A network's own norms are looked at.

    Args:
        model: The section `model` of the configuration.
        norm: The section `norm`.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
    """
    if norm.name == "own":
        kind: Norm = imported("bnbench.models.own:own_norm_kind")(model, image_shape, classes)
        return kind
    if norm.name != "custom":
        return norm_kind(norm, 0)
    sites = norm_sites(model, image_shape, classes, logits=norm.logits != LogitsNorm.none)
    return norm_kind(norm, sites[0].channels)


def work(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Work:
    """The work of a model without its norms.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.
    """
    return _geometry(model, image_shape, classes).work


def _geometry(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Geometry:
    geometry: Geometry = imported(ALL_MODELS[model.name].geometry)(model, image_shape, classes)
    return geometry


def fc_geometry(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Geometry:
    """The geometry of the fully connected network."""
    sizes = [prod(image_shape), *model.hidden_widths]
    hidden = [Layer(f"blocks.{i}", sizes[i], width) for i, width in enumerate(model.hidden_widths)]
    return geometry_of([*hidden, Layer("head", sizes[-1], classes, normed=False)])


def cnn_geometry(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Geometry:
    """The geometry of the deep CNN."""
    convs = conv_layers(model, image_shape)
    layers = [
        Layer(f"blocks.{i}", 9 * conv.in_channels, conv.out_channels, conv.height * conv.width, conv=True)
        for i, conv in enumerate(convs)
    ]
    features = layers[-1].channels * layers[-1].positions
    if model.hidden:
        layers.append(Layer("hidden", features, model.hidden))
    return geometry_of([*layers, Layer("head", model.hidden or features, classes, normed=False)])


class Conv(NamedTuple):
    """One conv layer of a block."""

    in_channels: int
    out_channels: int
    stride: int
    padding: tuple[int, int, int, int]  # rows or columns of zeros to the left, to the right, above and below
    height: int  # of the output
    width: int  # of the output
    kernel: int = 3  # height and width


def conv_layers(model: ModelConfig, image_shape: tuple[int, int, int]) -> list[Conv]:
    """The deep CNN's conv layers: `width * l` channels in layer l = 1, 2, …, every `stride_every`-th with stride 2.

    A stride of 2 that would make a map smaller than `min_map` on either side becomes 1.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
    """
    channels, height, width = image_shape
    layers = []
    for index in range(1, model.depth + 1):
        halved = (height + 1) // 2, (width + 1) // 2
        if index % model.stride_every == 0 and min(halved) >= model.min_map:
            stride = 2
            padding = (*_zeros(width, model.padding), *_zeros(height, model.padding))
            height, width = halved
        else:
            stride, padding = 1, (1, 1, 1, 1)
        layers.append(Conv(channels, model.width * index, stride, padding, height, width))
        channels = model.width * index
    return layers


def _zeros(size: int, padding: Padding) -> tuple[int, int]:
    """How many zeros a 3x3 conv of stride 2 puts before and after a row or column of `size` values."""
    return (0, 1) if padding == Padding.same and size % 2 == 0 else (1, 1)
