"""Every model, by the name that `model=` takes: one trial's network in plain `torch.nn`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bnbench.models.geometry import NormSite, norm_sites, site_kind

if TYPE_CHECKING:
    from torch import nn

    from bnbench.config import Trial

__all__ = ["MODELS", "OWN_MODEL", "Model", "NormSite", "build_model", "norm_sites", "site_kind"]


@dataclass(frozen=True)
class Model:
    """Where a model's class is, so that listing models imports none."""

    summary: str
    module: str
    network: str


MODELS = {
    "fc": Model("fully connected: 3 hidden layers of 100", "bnbench.models.fc", "FC"),
    "cnn": Model("deep CNN: 19 conv layers of 4 * l channels, then 100 features", "bnbench.models.cnn", "CNN"),
}

OWN_MODEL = Model("your own network, model.factory=package.module:function", "bnbench.models.own", "own_network")
"""What `model=custom` means."""


def build_model(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The trial's network with its initial weights.

    Args:
        trial: Says the model, the norm, the precision and the seed.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    import torch

    from bnbench.models.init import initialize
    from bnbench.tensors.seeding import derive, seeded

    model = OWN_MODEL if trial.model.name == "custom" else MODELS[trial.model.name]
    network = getattr(import_module(model.module), model.network)
    with seeded(derive(trial.seed, "network")):  # for what a network of the user's own draws itself
        net: nn.Module = network(trial.model, trial.norm, image_shape, classes)
    initialize(net, trial.model, trial.seed)
    return net.to(getattr(torch, trial.training.precision))
