"""The block of a hidden layer, which decides the order of layer, norm and activation, and the parts it is made of."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from bnbench.config import Activation, Bias, LogitsNorm, ModelConfig, NormConfig, Placement
from bnbench.models.dropout import Dropout
from bnbench.models.geometry import Conv
from bnbench.norms import make_norm, norm_kind
from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear

_PADDING_OF_ONE = (1, 1, 1, 1)  # left, right, above, below: the same on all sides, as nn.Conv2d pads by itself
_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.relu: nn.ReLU,
    Activation.leaky_relu: nn.LeakyReLU,
    Activation.elu: nn.ELU,
    Activation.gelu: nn.GELU,
    Activation.silu: nn.SiLU,
    Activation.softplus: nn.Softplus,
    Activation.sigmoid: nn.Sigmoid,
    Activation.tanh: nn.Tanh,
    Activation.identity: nn.Identity,
}


def make_activation(name: Activation) -> nn.Module:
    """A module that applies the activation of this name."""
    return _ACTIVATIONS[name]()


def make_linear(in_features: int, out_features: int, model: ModelConfig, norm: NormConfig) -> nn.Linear:
    """The linear layer of a block, with standardized weights if `norm` says so; a bias that cancels is left out."""
    layer_class = StandardizedLinear if norm.weight_standardization else nn.Linear
    return layer_class(in_features, out_features, bias=_has_bias(model, norm, out_features))


def make_conv(conv: Conv, model: ModelConfig, norm: NormConfig) -> nn.Conv2d:
    """The conv layer of a block, like `make_linear`. Padding other than one on every side is left to `make_padding`."""
    layer_class = StandardizedConv2d if norm.weight_standardization else nn.Conv2d
    padding = 1 if conv.padding == _PADDING_OF_ONE else 0
    bias = _has_bias(model, norm, conv.out_channels)
    return layer_class(conv.in_channels, conv.out_channels, conv.kernel, conv.stride, padding=padding, bias=bias)


def make_padding(conv: Conv) -> nn.ZeroPad2d | None:
    """The module that pads the input of a conv layer, or None if the layer does so itself."""
    return nn.ZeroPad2d(conv.padding) if any(conv.padding) and conv.padding != _PADDING_OF_ONE else None


def make_head(in_features: int, classes: int, model: ModelConfig, norm: NormConfig) -> nn.Linear:
    """The linear layer whose outputs are the logits. It has no bias if a norm of the logits cancels it."""
    bias_cancelled = norm.logits != LogitsNorm.none and norm_kind(norm, classes).removes_shift
    return nn.Linear(in_features, classes, bias=not bias_cancelled or model.bias == Bias.always)


def make_logits_norm(classes: int, norm: NormConfig) -> nn.Module | None:
    """The norm of the logits, or None for `norm.logits=none`."""
    if norm.logits == LogitsNorm.none:
        return None
    return make_norm(replace(norm, affine=norm.logits == LogitsNorm.affine), classes)


def _has_bias(model: ModelConfig, norm: NormConfig, channels: int) -> bool:
    """Whether the layer of a block has a bias. Under `model.bias=auto` it has none if the next module cancels it."""
    if model.bias == Bias.auto:
        return not (norm.placement != Placement.after and norm_kind(norm, channels).removes_shift)
    return model.bias == Bias.always


class Block(nn.Module):
    """Layer, norm, activation (`placement=before`), or layer, activation, norm (`after`); then dropout, if any.

    Args:
        layer: From `make_linear` or `make_conv`.
        features: The number of output features or channels of the layer.
        model: Its activation and dropout are used.
        norm: The norm and its placement.
        padding: From `make_padding`; None if the layer pads its input itself.

    Shape:
        (N, C) or (N, C, H, W) in; (N, features) or (N, features, H', W') out.
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d,
        features: int,
        model: ModelConfig,
        norm: NormConfig,
        padding: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.layer = layer
        self.norm = make_norm(norm, features)
        self.activation = make_activation(model.activation)
        self.dropout = Dropout(model.dropout) if model.dropout else None
        self.norm_first = norm.placement != Placement.after

    def forward(self, x: Tensor) -> Tensor:
        if self.padding is not None:
            x = self.padding(x)
        x = self.layer(x)
        if self.norm is not None and self.norm_first:
            x = self.norm(x)
        x = self.activation(x)
        if self.norm is not None and not self.norm_first:
            x = self.norm(x)
        return x if self.dropout is None else self.dropout(x)
