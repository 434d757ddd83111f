"""Every model, by the name that `model=` takes: one trial's network in plain `torch.nn`."""

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
        trial: Says the model, the norm, the precision and the seed.
        image_shape: (C, H, W) of the input.
        classes: Outputs.
    """
    import torch

    from bnbench.models.init import initialize
    from bnbench.tensors.seeding import derive, seeded

    network = imported(ALL_MODELS[trial.model.name].network)
    with seeded(derive(trial.seed, "network")):  # for what a network of the user's own draws itself
        net: nn.Module = network(trial.model, trial.norm, image_shape, classes)
    initialize(net, trial.model, trial.seed)
    return net.to(getattr(torch, trial.training.precision))
