"""Networks that a user writes: made by `model.factory`, with every norm replaced by the one that `norm=` chooses."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from bnbench.config import Init, ModelConfig, NormConfig
from bnbench.models.geometry import Geometry, NormSite, Work
from bnbench.models.own.brought_weights import BroughtWeights, find_brought_weights
from bnbench.models.own.make_network import make_network, source_of
from bnbench.models.swap import SWAPPED, swap_norms
from bnbench.models.usable import check_parameters, logits_of
from bnbench.tensors.seeding import seeded


@dataclass(frozen=True)
class Survey(Geometry):
    """The geometry of a custom network, from running it on two black images, and the initial weights that it brings."""

    brought_weights: BroughtWeights


def own_network(model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network that `model.factory` makes, with bnbench's norms and dropout in place of torch's.

    Every batch, group and instance norm is replaced by the norm that `norm=` chooses, on as many channels, or removed
    for `norm=none`. The places of norms and the biases stay as the function made them.

    Args:
        model: The section `model` of the configuration. It names the function, and is passed to it.
        norm: The section `norm`.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.

    Raises:
        ConfigError: If the function fails, or makes a network whose norms cannot be replaced; one line.
    """
    net = make_network(model, image_shape, classes)
    swap_norms(net, norm, source_of(model), keep=model.init == Init.own)
    return net


_surveys: dict[str, Survey] = {}


def survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    """Where a custom network has norms, how much work a pass is, and the weights it brings: found by running it once.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.

    Raises:
        ConfigError: If the network does not run, does not return logits, or has parameters that it does not use.
    """
    key = repr((model, image_shape, classes))
    if key not in _surveys:
        _surveys[key] = _survey(model, image_shape, classes)
    return _surveys[key]


def _survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    weights = find_brought_weights(
        lambda: make_network(model, image_shape, classes), source_of(model), keep=model.init == Init.own
    )
    with seeded(0):
        net = make_network(model, image_shape, classes).float().eval()
        without_norms = own_network(model, NormConfig(), image_shape, classes).float()
    sites: list[NormSite] = []
    costs: list[tuple[bool, int, int]] = []  # for each layer: is it a conv, multiply-adds, output values
    channels = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]

    def record_site(name: str, x: Tensor) -> None:
        if x.dim() not in (2, 4):
            raise TypeError(f"{name} normalizes {tuple(x.shape)}; it must be (N, C) or (N, C, H, W)")
        sites.append(NormSite(name, x.shape[1], x[0, 0].numel()))

    def record_cost(module: nn.Linear | nn.Conv2d, y: Tensor) -> None:
        values = y[0].numel()
        costs.append((isinstance(module, nn.Conv2d), values * module.weight[0].numel(), values))

    for name, module in net.named_modules():
        if type(module) in SWAPPED:
            module.register_forward_pre_hook(lambda m, x, name=name: record_site(name, x[0]))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(lambda m, x, y: record_cost(m, y))
    with seeded(0):
        logits = logits_of(net, 2, image_shape, classes, source_of(model))
    check_parameters(net, without_norms, logits, image_shape, classes, source_of(model))
    return Survey(
        sites,
        Work(
            linear=sum(macs for conv, macs, _ in costs if not conv),
            conv=sum(macs for conv, macs, _ in costs if conv),
            activations=sum(values for _, _, values in costs),
            layers=len(costs) + 1,
            weights=sum(p.numel() for p in net.parameters()),
            conv_channels=tuple(channels),
        ),
        weights,
    )
