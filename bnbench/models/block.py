"""The block that decides the order of layer, norm and activation."""

from __future__ import annotations

from torch import Tensor, nn

from bnbench.config import Activation, Bias, ModelConfig, NormConfig, Placement
from bnbench.models.geometry import Conv
from bnbench.norms import NORMS, make_norm
from bnbench.norms.weight_standardization import StandardizedConv2d, StandardizedLinear

__all__ = ["Block", "make_activation", "make_conv", "make_linear"]

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
    return kind(wide, narrow, bias=_has_bias(model, norm))


def make_conv(conv: Conv, model: ModelConfig, norm: NormConfig) -> nn.Conv2d:
    """A block's conv layer."""
    kind = StandardizedConv2d if norm.weight_standardization else nn.Conv2d
    return kind(conv.in_channels, conv.out_channels, 3, conv.stride, padding=1, bias=_has_bias(model, norm))


def _has_bias(model: ModelConfig, norm: NormConfig) -> bool:
    """Whether the layer of a block keeps its bias: not where a norm that cancels it follows directly."""
    if model.bias == Bias.auto:
        return not (NORMS[norm.name].removes_shift and norm.placement == Placement.before)
    return model.bias == Bias.always


class Block(nn.Module):
    """Layer, norm, activation (`placement=before`), or layer, activation, norm (`after`).

    Args:
        layer: From `make_linear` or `make_conv`.
        features: The layer's output channels.
        model: Says the activation.
        norm: Says the norm and its placement.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, features: int, model: ModelConfig, norm: NormConfig) -> None:
        super().__init__()
        self.layer = layer
        self.norm = make_norm(norm, features)
        self.activation = make_activation(model.activation)
        self.norm_first = norm.placement == Placement.before

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        if self.norm is not None and self.norm_first:
            x = self.norm(x)
        x = self.activation(x)
        if self.norm is not None and not self.norm_first:
            x = self.norm(x)
        return x
