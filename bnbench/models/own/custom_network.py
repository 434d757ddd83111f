"""Networks that a user writes: made by `model.factory`, with every norm replaced by the one that `norm=` chooses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError, Init, ModelConfig, NormConfig
from bnbench.config.factory import one_line
from bnbench.models.geometry import Geometry, NormSite, Work
from bnbench.models.own.brought_weights import BroughtWeights, find_brought_weights
from bnbench.models.own.make_network import make_network, source_of
from bnbench.models.own.put_norms import put_norms
from bnbench.models.own.reached import check_reached
from bnbench.models.own.sites import Site, find_sites
from bnbench.models.own.trace import LAYERS, trace
from bnbench.models.usable import check_parameters, logits_of
from bnbench.tensors.seeding import seeded


@dataclass(frozen=True)
class Survey(Geometry):
    """The geometry of a custom network, from running it on two images, and the initial weights that it brings.

    Attributes:
        places: Every place where it calls a norm; where it has none, those where it could have one.
        brought_weights: The initial weights that it brings.
    """

    places: list[Site]
    brought_weights: BroughtWeights

    @property
    def has_norms(self) -> bool:
        """Whether the network has norms of its own."""
        return any(place.kind != "none" for place in self.places)


def own_network(model: ModelConfig, norm: NormConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network that `model.factory` makes, with bnbench's norms and dropout in place of its own.

    Every norm is replaced by the one that `norm=` chooses, on as many channels, or removed for `norm=none`; for
    `norm=own` it stays. A network without norms gets one between each layer and its activation. `norm.placement` moves
    every norm that has an activation right beside it to the other side of that, if it is not there, and `norm.without`
    leaves some out. Biases stay as the function made them.

    Args:
        model: The section `model` of the configuration. It names the function, and is passed to it.
        norm: The section `norm`.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.

    Raises:
        ConfigError: If the function fails, or makes a network whose norms cannot be replaced; one line.
    """
    places = find_places(model, image_shape, classes)
    source, keep = source_of(model), model.init == Init.own
    net = make_network(model, image_shape, classes)
    moved = put_norms(net, norm, places, source, keep=keep)
    variant = repr((model, norm, image_shape, classes))
    if moved and variant not in _reached:
        with seeded(0):
            tried = make_network(model, image_shape, classes).float()
            check_reached(tried, put_norms(tried, norm, places, source, keep=keep), image_shape, source)
        _reached.add(variant)
    return net


_reached: set[str] = set()
"""The variants of networks whose moved norms were seen to be reached."""

_places: dict[str, list[Site]] = {}


def find_places(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> list[Site]:
    """Where a custom network has norms, or could have them, found by running it once.

    Args:
        model: The section `model` of the configuration.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes.

    Raises:
        ConfigError: If its forward fails, or has a norm that cannot be replaced; one line.
    """
    key = repr((model, image_shape, classes))
    if key not in _places:
        source = source_of(model)
        with seeded(0):
            net = make_network(model, image_shape, classes).float().eval()
            try:
                found = trace(net, torch.rand(2, *image_shape))
            except Exception as error:  # a user's forward may raise anything
                raise ConfigError(f"{source}: its forward fails on images {image_shape}: {one_line(error)}") from error
        _places[key] = find_sites(found, source)
    return _places[key]


_surveys: dict[str, Survey] = {}


def survey(model: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> Survey:
    """Where a custom network has norms, how much work a pass is, and the weights it brings: found by running it.

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
    costs: list[tuple[bool, int, int]] = []  # for each layer: is it a conv, multiply-adds, output values
    channels = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]

    def record_cost(module: nn.Module, y: Tensor) -> None:
        assert isinstance(module.weight, Tensor)
        values = y[0].numel()
        costs.append((not isinstance(module, nn.Linear), values * module.weight[0].numel(), values))

    for module in net.modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(lambda m, x, y: record_cost(m, y))
    with seeded(0):
        logits = logits_of(net, 2, image_shape, classes, source_of(model))
        places = find_places(model, image_shape, classes)
        without_norms = own_network(model, NormConfig(), image_shape, classes).float()
    check_parameters(net, without_norms, logits, image_shape, classes, source_of(model))
    return Survey(
        [NormSite(place.path, place.channels, place.positions) for place in places],
        Work(
            linear=sum(macs for conv, macs, _ in costs if not conv),
            conv=sum(macs for conv, macs, _ in costs if conv),
            activations=sum(values for _, _, values in costs),
            layers=len(costs) + 1,
            weights=sum(p.numel() for p in net.parameters()),
            conv_channels=tuple(channels),
        ),
        places,
        weights,
    )
