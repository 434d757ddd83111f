"""Builds one trial's network, in plain `torch.nn`, from the model that `model=` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnbench.config.imported import imported
from bnbench.config.model_catalog import ALL_MODELS, MODELS
from bnbench.models.geometry import NormSite, norm_sites, site_kind

if TYPE_CHECKING:
    from torch import nn

    from bnbench.config import Trial

__all__ = ["ALL_MODELS", "MODELS", "NormSite", "build_model", "norm_sites", "site_kind"]


def build_model(trial: Trial, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The trial's network with its initial weights.

    Args:
        trial: Its model, norm, precision and seed are used.
        image_shape: Shape (C, H, W) of one image.
        classes: Number of classes, which is the number of logits.
    """
    import torch

    from bnbench.models.init import initialize
    from bnbench.tensors.seeding import derive, seeded

    network = imported(ALL_MODELS[trial.model.name].network)
    with seeded(derive(trial.seed, "network")):  # for whatever a custom network draws while it is made
        net: nn.Module = network(trial.model, trial.norm, image_shape, classes)
    initialize(net, trial.model, trial.seed)
    return net.to(getattr(torch, trial.training.precision))
