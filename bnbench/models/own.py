"""Networks of the user's own: made by a function, their norms swapped for the one that `norm=` chooses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError, Init, ModelConfig, NormConfig
from bnbench.factory import call, factory, one_line
from bnbench.models.brought import Brought, brought
from bnbench.models.geometry import NormSite, Work
from bnbench.models.swap import SWAPPED, no_hidden_norm, swap_norms
from bnbench.seeding import seeded

__all__ = ["Survey", "own_network", "survey"]


class Survey(NamedTuple):
    """What is known of a network once it was run on two black images."""

    sites: list[NormSite]
    work: Work
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
    net = _made(model, image_shape, classes)
    swap_norms(net, norm, _source(model), keep=model.init == Init.own)
    return net


def _source(model: ModelConfig) -> str:
    return f"model.factory={model.factory}"


def _made(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    make = factory("model.factory", model.factory)
    if isinstance(make, nn.Module):
        raise ConfigError(f"{_source(model)} is a network, which trials would share; give a function that makes one")
    failed = f"{_source(model)} failed for images {image_shape} and {classes} classes"
    net = call(make, {"image_shape": image_shape, "classes": classes, "model": model}, ConfigError, failed)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{_source(model)} returned {type(net).__name__}; it must be a torch.nn.Module")
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
    weights = brought(lambda: _made(model, image_shape, classes), _source(model), kept=kept)
    with seeded(0):
        net = _made(model, image_shape, classes).eval()
        plain = own_network(model, NormConfig(), image_shape, classes)
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
    try:
        logits = net(torch.zeros(2, *image_shape))
    except Exception as error:
        raise ConfigError(
            f"model.factory={model.factory}: its forward fails on images {image_shape}: {one_line(error)}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(
            f"model.factory={model.factory} puts out {shape} for 2 images; it must be logits of shape (2, {classes})"
        )
    with seeded(0), no_hidden_norm(_source(model)):
        for mode in (True, False):
            plain.train(mode)(torch.zeros(2, *image_shape))
    logits.sum().backward()  # type: ignore[no-untyped-call]
    unused = [name for name, p in net.named_parameters() if p.grad is None]
    if unused:
        raise ConfigError(
            f"model.factory={model.factory}: its forward does not use {', '.join(unused)}; leave them out"
        )
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
