"""The block that decides the order of layer, norm and activation."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from bnbench.config import Activation, Bias, LogitsNorm, ModelConfig, NormConfig, Placement
from bnbench.models.dropout import Dropout
from bnbench.models.geometry import Conv
from bnbench.norms import make_norm, norm_kind
from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear

_ON_ALL_SIDES = (1, 1, 1, 1)
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
    """The activation of that name."""
    return _ACTIVATIONS[name]()


def make_linear(wide: int, narrow: int, model: ModelConfig, norm: NormConfig) -> nn.Linear:
    """A block's linear layer from `wide` to `narrow` features."""
    kind = StandardizedLinear if norm.weight_standardization else nn.Linear
    return kind(wide, narrow, bias=_has_bias(model, norm, narrow))


def make_conv(conv: Conv, model: ModelConfig, norm: NormConfig) -> nn.Conv2d:
    """A block's conv layer; where its padding is not the same on all sides, `make_padding` pads."""
    kind = StandardizedConv2d if norm.weight_standardization else nn.Conv2d
    around = 1 if conv.padding == _ON_ALL_SIDES else 0
    bias = _has_bias(model, norm, conv.out_channels)
    return kind(conv.in_channels, conv.out_channels, conv.kernel, conv.stride, padding=around, bias=bias)


def make_padding(conv: Conv) -> nn.ZeroPad2d | None:
    """What pads a conv layer's input, or None where the layer does."""
    return nn.ZeroPad2d(conv.padding) if any(conv.padding) and conv.padding != _ON_ALL_SIDES else None


def make_head(wide: int, classes: int, model: ModelConfig, norm: NormConfig) -> nn.Linear:
    """The linear layer that puts out the logits; without a bias only where a norm that cancels it follows."""
    normed = norm.logits != LogitsNorm.none and norm_kind(norm, classes).removes_shift
    return nn.Linear(wide, classes, bias=not normed or model.bias == Bias.always)


def make_logits_norm(classes: int, norm: NormConfig) -> nn.Module | None:
    """The norm of the logits, or None for `norm.logits=none`."""
    if norm.logits == LogitsNorm.none:
        return None
    return make_norm(replace(norm, affine=norm.logits == LogitsNorm.affine), classes)


def _has_bias(model: ModelConfig, norm: NormConfig, channels: int) -> bool:
    """Whether the layer of a block keeps its bias: not where a norm that cancels it follows directly."""
    if model.bias == Bias.auto:
        return not (norm.placement == Placement.before and norm_kind(norm, channels).removes_shift)
    return model.bias == Bias.always


class Block(nn.Module):
    """Layer, norm, activation (`placement=before`), or layer, activation, norm (`after`); then dropout, if any.

    Args:
        layer: From `make_linear` or `make_conv`.
        features: The layer's output channels.
        model: Says the activation.
        norm: Says the norm and its placement.
        padding: Pads the input, where the layer does not itself.
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
        self.norm_first = norm.placement == Placement.before

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
