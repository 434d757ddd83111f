"""Draws initial weights, each parameter from a random stream that only its name and the seed determine."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bnbench.config import Activation, Init, ModelConfig
from bnbench.models.layer_name import LAYER
from bnbench.tensors.drawing import Draws
from bnbench.tensors.seeding import derive, generator

_HEAD = "head"

# The names by which nn.init knows activations. In the kaiming schemes all others get the gain of relu.
_NONLINEARITY = {
    Activation.leaky_relu: "leaky_relu",
    Activation.sigmoid: "sigmoid",
    Activation.tanh: "tanh",
    Activation.identity: "linear",
}


def initialize(net: nn.Module, model: ModelConfig, seed: int) -> None:
    """Draw the weights and biases of all linear and conv layers, unless `init=own`, and seed layers such as dropout.

    A parameter's random stream depends on the seed and the parameter's name alone. So arms of one seed start from the
    same weights, whichever norms and biases their networks have beside them.

    Args:
        net: Its linear and conv layers are initialized in place; the module named `head` by the `head_*` keys.
        model: The schemes, gains and standard deviations.
        seed: The trial's seed.
    """
    for path, module in net.named_modules():
        name = path.removesuffix(f".{LAYER}")  # a layer that got a norm draws what it would draw without
        if isinstance(module, Draws):
            module.reseed(derive(seed, name))
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        is_head = name == _HEAD
        scheme = model.head_init if is_head and model.head_init is not None else model.init
        gain = model.head_gain if is_head else model.init_gain
        sd = model.head_sd if is_head and model.head_sd is not None else model.init_sd
        if (
            scheme == Init.own or "weight" not in module._parameters
        ):  # a parametrized weight is computed from other parameters
            continue
        with torch.no_grad():
            _draw(module.weight, scheme, sd, model.activation, generator(seed, "init", f"{name}.weight"))
            module.weight.mul_(gain)
            if module.bias is None:
                continue
            if scheme == Init.torch:
                bound = 1 / math.sqrt(module.weight[0].numel())
                module.bias.uniform_(-bound, bound, generator=generator(seed, "init", f"{name}.bias"))
            else:
                module.bias.zero_()


def _draw(weight: Tensor, scheme: Init, sd: float, activation: Activation, g: torch.Generator) -> None:
    nonlinearity = _NONLINEARITY.get(activation, "relu")
    match scheme:
        case Init.torch:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=g)
        case Init.kaiming_uniform:
            nn.init.kaiming_uniform_(weight, a=0.01, nonlinearity=nonlinearity, generator=g)  # type: ignore[arg-type]
        case Init.kaiming_normal:
            nn.init.kaiming_normal_(weight, a=0.01, nonlinearity=nonlinearity, generator=g)  # type: ignore[arg-type]
        case Init.xavier_uniform:
            nn.init.xavier_uniform_(weight, generator=g)
        case Init.xavier_normal:
            nn.init.xavier_normal_(weight, generator=g)
        case Init.normal:
            nn.init.normal_(weight, std=sd, generator=g)
        case Init.truncated_normal:
            # As in TensorFlow, values beyond two sd are drawn again: the weights' standard deviation is 0.88 sd.
            nn.init.trunc_normal_(weight, std=sd, a=-2 * sd, b=2 * sd, generator=g)
        case Init.orthogonal:
            nn.init.orthogonal_(weight, generator=g)
