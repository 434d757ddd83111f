"""Initial weights, each parameter from a stream of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bnbench.config import Activation, Init, ModelConfig
from bnbench.tensors.drawing import Draws
from bnbench.tensors.seeding import derive, generator

_HEAD = "head"

# nn.init knows these names; the other activations get relu's gain in the kaiming schemes.
_NONLINEARITY = {
    Activation.leaky_relu: "leaky_relu",
    Activation.sigmoid: "sigmoid",
    Activation.tanh: "tanh",
    Activation.identity: "linear",
}


def initialize(net: nn.Module, model: ModelConfig, seed: int) -> None:
    """Draw every linear and conv weight and bias anew, but for `init=own`, and key the draws of layers that make any.

    A parameter's stream is keyed by the seed and its name. So two networks share the weights they both have,
    whatever norms and biases stand between, and arms of one seed start from the same point.

    Args:
        net: Its linear and conv layers are initialized in place; the module called `head` by the `head_*` keys.
        model: The scheme, gain and standard deviation.
        seed: The trial's.
    """
    for name, module in net.named_modules():
        if isinstance(module, Draws):
            module.reseed(derive(seed, name))
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        head = name == _HEAD
        scheme = model.head_init if head and model.head_init is not None else model.init
        gain = model.head_gain if head else model.init_gain
        sd = model.head_sd if head and model.head_sd is not None else model.init_sd
        if scheme == Init.own or "weight" not in module._parameters:  # a parametrized one is computed from others
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
            # TensorFlow's: redrawn beyond two standard deviations, so the weights' own is about 0.88 sd.
            nn.init.trunc_normal_(weight, std=sd, a=-2 * sd, b=2 * sd, generator=g)
        case Init.orthogonal:
            nn.init.orthogonal_(weight, generator=g)
