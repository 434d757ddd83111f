"""A network as a list of layers that the kernels know: linear and conv layers with norms and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.models.block import Block
from bnbench.norms.batch import BatchNorm
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm
from bnbench.norms.noisy import NoisyBatchNorm
from bnbench.norms.online import OnlineNorm
from bnbench.norms.renorm import BatchRenorm
from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear
from bnbench.tensors.drawing import Draws


class Activation(IntEnum):
    """The numbers of the activations in `activation.h`."""

    identity = 0
    relu = 1
    leaky_relu = 2
    tanh = 3
    sigmoid = 4
    elu = 5
    gelu = 6
    silu = 7
    softplus = 8


class NormPlace(IntEnum):
    """Where a layer's norm stands, as numbered in `network.h`."""

    none = 0
    before = 1
    after = 2


_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.Identity: Activation.identity,
    nn.ReLU: Activation.relu,
    nn.LeakyReLU: Activation.leaky_relu,
    nn.Tanh: Activation.tanh,
    nn.Sigmoid: Activation.sigmoid,
    nn.ELU: Activation.elu,
    nn.GELU: Activation.gelu,
    nn.SiLU: Activation.silu,
    nn.Softplus: Activation.softplus,
}


@dataclass(frozen=True)
class Map:
    """A map of channels, (C, H, W); features are channels of one pixel."""

    channels: int
    height: int = 1
    width: int = 1


@dataclass(frozen=True)
class LaneLayer:
    """A linear or conv layer with what follows it in its block.

    Attributes:
        path: The name of the linear or conv layer in the network.
        norm_path: The name of its norm; empty where it has none.
        conv: Whether the kernels treat it as a 3x3 conv layer.
        source: The map that it reads. Of a linear layer after a map, the map before it is flattened.
        output: The map that it gives.
        standardized: Whether the weights of each output are standardized before use.
        stride: Of a conv layer.
        left: Zeros before each row of a conv layer's input.
        top: Zeros before each column.
        bias: Whether it has a bias.
        activation: The activation after it.
        norm: Where its norm stands.
        examples: How many examples the norm standardizes together in training; 0 for all of a batch.
        group: How many channels.
        centered: Whether it subtracts the mean.
        thresholds: Whether it learns a part of eps, and a least output, as filter response norm does.
        running: Whether it keeps running statistics, by which it evaluates; if not, it evaluates as it trains.
        frozen: Whether it trains by them too, and leaves them as they are.
        affine: Whether gamma and beta are learned.
        unbiased: Whether the running variance takes the divisor N - 1.
        eps: Added to the variance.
        r_max: The largest correction of batch renorm's scale; 0 of any other norm. With it, the running variance is a
            running deviation.
        d_max: The largest correction of its shift.
        warmup_steps: Over how many steps the two grow from 1 and 0.
        noisy: Whether it multiplies by noise and adds noise in training.
        noise_shift: The largest mean of what is added.
        noise_scale: The largest mean of the factor, at least 1.
        online: Whether it standardizes each example by those before it.
        decay_forward: The weight of the statistics before an example.
        decay_backward: Likewise, of the errors of the gradient.
        clamp: The largest absolute output.
        dropout_path: The name of the dropout after all that; empty where there is none.
    """

    path: str
    source: Map
    output: Map
    norm_path: str = ""
    conv: bool = False
    standardized: bool = False
    stride: int = 1
    left: int = 0
    top: int = 0
    bias: bool = True
    activation: Activation = Activation.identity
    norm: NormPlace = NormPlace.none
    examples: int = 0
    group: int = 1
    centered: bool = True
    thresholds: bool = False
    running: bool = True
    frozen: bool = False
    affine: bool = True
    unbiased: bool = True
    eps: float = 1e-5
    r_max: float = 0.0
    d_max: float = 0.0
    warmup_steps: int = 0
    noisy: bool = False
    noise_shift: float = 0.0
    noise_scale: float = 1.0
    online: bool = False
    decay_forward: float = 0.0
    decay_backward: float = 0.0
    clamp: float = 0.0
    dropout_path: str = ""

    def stored_weights(self, weight: Tensor) -> Tensor:
        """A view of weights in the order of the kernels: (K, O, positions, C) or (K, O, rows, columns, C).

        Args:
            weight: (K, O, C * H * W) of a linear layer, (K, O, C, 3, 3) of a conv layer.
        """
        if weight.dim() == 3:
            positions = self.source.height * self.source.width
            return weight.view(*weight.shape[:2], self.source.channels, positions).transpose(2, 3)
        taps = weight.permute(0, 1, 3, 4, 2)  # (K, O, 3, 3, C)
        if not self.conv:  # the taps that meet the map of which the layer sees every pixel
            taps = taps[:, :, self.top : self.top + self.source.height, self.left : self.left + self.source.width]
        return taps


def lane_layers(net: nn.Module, image_shape: tuple[int, int, int], batch_size: int, *, decays: bool) -> list[LaneLayer]:
    """The layers of one of bnbench's FC or CNN networks, from the images to the logits.

    A conv layer that sees all pixels of its map and gives one is a linear layer, unless weight decay moves the rest of
    its kernel too, or the kernel is standardized, or it is the first layer, whose images are stored otherwise.

    Args:
        net: The network of one trial.
        image_shape: Shape (C, H, W) of one image.
        batch_size: Examples of a step.
        decays: Whether there is weight decay.
    """
    layers: list[LaneLayer] = []
    source = Map(*image_shape)
    modules = dict(net.named_modules())
    for path, module in modules.items():
        layer = module.layer if isinstance(module, Block) else module if path == "head" else None
        if layer is None:
            continue
        if not layers and isinstance(layer, nn.Linear):
            source = Map(layer.in_features)  # an image's values are stored as torch flattens them
        if isinstance(module, Block):
            layers.append(_of_block(path, module, source, batch_size, whole=decays or not layers))
        else:
            assert isinstance(layer, nn.Linear)
            layers.append(_of_head(path, layer, modules.get("logits"), source, batch_size))
        source = layers[-1].output
    return layers


def draw_seeds(layers: Sequence[LaneLayer], nets: Sequence[nn.Module]) -> Tensor:
    """The seeds of each layer's dropout and of its norm's noise, (layers, 2, K), int64; 0 where nothing is drawn.

    Args:
        layers: Of any of the networks.
        nets: One a trial.
    """
    seeds = torch.zeros(len(layers), 2, len(nets), dtype=torch.int64)
    for trial, modules in enumerate(dict(net.named_modules()) for net in nets):
        for number, layer in enumerate(layers):
            for place, path in enumerate((layer.dropout_path, layer.norm_path)):
                drawer = modules.get(path)
                if path and isinstance(drawer, Draws):
                    seeds[number, place, trial] = int(drawer.seeds)
    return seeds


def _of_head(path: str, head: nn.Linear, logits: nn.Module | None, source: Map, batch_size: int) -> LaneLayer:
    output = Map(head.out_features)
    common: dict[str, Any] = {"path": path, "source": source, "output": output, "bias": head.bias is not None}
    if logits is not None:
        common |= {"norm_path": "logits", "norm": NormPlace.before, **_of_norm(logits, head, output, batch_size)}
    return LaneLayer(**common)


def _of_block(path: str, block: Block, source: Map, batch_size: int, *, whole: bool) -> LaneLayer:
    standardized = isinstance(block.layer, StandardizedLinear | StandardizedConv2d)
    common: dict[str, Any] = {
        "path": f"{path}.layer",
        "source": source,
        "standardized": standardized,
        "bias": block.layer.bias is not None,
        "activation": _ACTIVATIONS[type(block.activation)],
    }
    if isinstance(block.layer, nn.Conv2d):
        common |= _of_conv(block, block.layer, source, whole=whole or standardized)
    else:
        common |= {"output": Map(block.layer.out_features)}
    if block.dropout is not None:
        common["dropout_path"] = f"{path}.dropout"
    norm = block.norm
    if norm is not None:
        place = NormPlace.before if block.norm_first else NormPlace.after
        common |= {
            "norm_path": f"{path}.norm",
            "norm": place,
            **_of_norm(norm, block.layer, common["output"], batch_size),
        }
    return LaneLayer(**common)


def _of_norm(norm: nn.Module, layer: nn.Module, output: Map, batch_size: int) -> dict[str, Any]:
    assert isinstance(norm, BatchNorm | GroupNorm | FilterResponseNorm | OnlineNorm), "config/engine.py has no others"
    common: dict[str, Any] = {"affine": norm.weight is not None, "eps": norm.eps}
    if isinstance(norm, FilterResponseNorm):
        return common | {"examples": 1, "centered": False, "thresholds": True, "running": False}
    if isinstance(norm, OnlineNorm):
        decays = {"decay_forward": norm.decay_forward, "decay_backward": norm.decay_backward}
        return common | {"examples": 1, "online": True, "clamp": norm.clamp, **decays}
    if isinstance(norm, GroupNorm):
        group = norm.features // norm.groups
        return common | {"examples": 1, "group": group, "centered": norm.centered, "running": False}
    if isinstance(norm, BatchRenorm):
        return common | {"unbiased": False, "r_max": norm.r_max, "d_max": norm.d_max, "warmup_steps": norm.warmup_steps}
    examples = norm.ghost_size if isinstance(norm, GhostBatchNorm) else 0
    values = (examples or batch_size) * output.height * output.width
    fused = isinstance(layer, nn.Conv2d) and values > 1
    if isinstance(norm, NoisyBatchNorm):
        common |= {"noisy": True, "noise_shift": norm.shift, "noise_scale": norm.scale}
    return common | {"examples": examples, "frozen": norm.frozen, "unbiased": fused if norm.fused else norm.unbiased}


def _of_conv(block: Block, conv: nn.Conv2d, source: Map, *, whole: bool) -> dict[str, Any]:
    left, right, top, bottom = block.padding.padding if isinstance(block.padding, nn.ZeroPad2d) else (1, 1, 1, 1)
    stride = conv.stride[0]
    height = (source.height + top + bottom - 3) // stride + 1
    width = (source.width + left + right - 3) // stride + 1
    sees_all = height == width == 1 and source.height + top <= 3 and source.width + left <= 3
    output = Map(conv.out_channels, height, width)
    return {"output": output, "conv": whole or not sees_all, "stride": stride, "left": left, "top": top}
