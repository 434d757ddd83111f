"""torchvision's networks on small images of any number of channels, with their norms replaced like those of others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnbench.config import Config, ConfigError, ModelConfig, NormConfig, Trial
from bnbench.models import norm_sites
from bnbench.models.own import own_network
from bnbench.norms.group import GroupNorm
from bnbench.packing.packability import packability

NORMS = {"resnet18": 20, "vgg11_bn": 8}


def model(name: str) -> ModelConfig:
    return ModelConfig(name="custom", factory=f"bnbench.examples.vision:{name}")


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_it_takes_small_images_and_every_norm_is_replaced_by_the_chosen_one(
    name: str, shape: tuple[int, int, int]
) -> None:
    net = own_network(model(name), NormConfig(name="group", groups=8), shape, 10)
    assert sum(isinstance(module, GroupNorm) for module in net.modules()) == NORMS[name]
    assert not [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        assert net.eval()(torch.zeros(2, *shape)).shape == (2, 10)
    assert [site.block for site in norm_sites(model(name), shape, 10)]


def test_images_that_are_too_large_for_vgg_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"failed for images \(3, 40, 40\).*they may have 32 x 32 pixels"):
        own_network(model("vgg11_bn"), NormConfig(), (3, 40, 40), 10)


def test_networks_of_many_weights_are_trained_alone_without_a_rehearsal() -> None:
    trial = Trial.from_config(Config(model=model("resnet18")), train_size=3500, data_checksum="")
    assert packability(trial).why_alone == "11,175,370 weights, with which a pack gains nothing"
