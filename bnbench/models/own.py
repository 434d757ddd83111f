"""Networks of the user's own: made by a function, their norms swapped for the one that `norm=` chooses."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from bnbench.config import Init, ModelConfig, NormConfig
from bnbench.models.geometry import Geometry, NormSite, Work
from bnbench.models.own_modules import made, source_of
from bnbench.models.own_weights import Brought, brought
from bnbench.models.swap import SWAPPED, swap_norms
from bnbench.models.usable import check_parameters, logits_of
from bnbench.tensors.seeding import seeded


@dataclass(frozen=True)
class Survey(Geometry):
    """What is known of a network once it was run on two black images, and the weights that it brings."""

    brought: Brought


def own_network(model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network that `model.factory` makes, with norms and dropout that are bnbench's.

    Every batch, group and instance norm of it becomes the one that `norm=` chooses, on as many channels, or nothing;
    where it stands is the network's own affair. Biases stay as they were made.

    Args:
        model: Names the function; it is given this too.
        norm: The norm.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    net = made(model, image_shape, classes)
    swap_norms(net, norm, source_of(model), keep=model.init == Init.own)
    return net


_surveys: dict[str, Survey] = {}


def survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    """Where its norms are and what a pass costs, from running the network once.

    Raises:
        ConfigError: If it does not run, puts out something else than logits, or has parameters without use.
    """
    key = repr((model, image_shape, classes))
    if key not in _surveys:
        _surveys[key] = _survey(model, image_shape, classes)
    return _surveys[key]


def _survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    kept = model.init == Init.own
    weights = brought(lambda: made(model, image_shape, classes), source_of(model), kept=kept)
    with seeded(0):
        net = made(model, image_shape, classes).float().eval()
        plain = own_network(model, NormConfig(), image_shape, classes).float()
    sites: list[NormSite] = []
    costs: list[tuple[bool, int, int]] = []  # of each layer with weights: whether a conv, multiply-adds, values out
    channels = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]

    def norm(name: str, module: nn.Module, x: Tensor) -> None:
        if x.dim() not in (2, 4):
            raise TypeError(f"{name} normalizes {tuple(x.shape)}; it must be (N, C) or (N, C, H, W)")
        sites.append(NormSite(name, x.shape[1], x[0, 0].numel()))

    def layer(module: nn.Linear | nn.Conv2d, y: Tensor) -> None:
        values = y[0].numel()
        costs.append((isinstance(module, nn.Conv2d), values * module.weight[0].numel(), values))

    for name, module in net.named_modules():
        if type(module) in SWAPPED:
            module.register_forward_pre_hook(lambda m, x, name=name: norm(name, m, x[0]))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(lambda m, x, y: layer(m, y))
    with seeded(0):
        logits = logits_of(net, 2, image_shape, classes, source_of(model))
    check_parameters(net, plain, logits, image_shape, classes, source_of(model))
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
