"""Networks that nobody here wrote: their norms are found, and every variant of them trains a few steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnbench.config import Config, ModelConfig, NormConfig, Placement, Trial
from bnbench.models import build_model
from bnbench.models.own import Site, find_places
from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()

import timm  # noqa: E402
import torchvision  # noqa: E402

IMAGES, CLASSES = (3, 32, 32), 5


class Known(NamedTuple):
    """A network and what must be found in it.

    Attributes:
        make: Makes it.
        kinds: How many norms of each kind it has; of "none" where norms can be put in.
        movable: How many of them have their activation right behind them.
        first: The path, channels, layer and activation of some places.
        stage: A part of it that has norms.
    """

    make: Callable[[], nn.Module]
    kinds: dict[str, int]
    movable: int
    some: list[tuple[str, int, str, str]]
    stage: str


def of_torchvision(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(torchvision.models, name)(num_classes=CLASSES)


def vgg11() -> nn.Module:
    """torchvision's VGG-11 with hidden linear layers of 64 features, for 4,096 of them take a gigabyte of memory."""
    net = torchvision.models.vgg11(init_weights=False)
    widths = iter([64, 64, CLASSES])
    for index in (0, 3, 6):
        features = net.classifier[index].in_features if index == 0 else 64
        net.classifier[index] = nn.Linear(features, next(widths))
    return net


def of_timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=CLASSES, **options)


KNOWN = {
    "torchvision resnet18": Known(
        of_torchvision("resnet18"), {"batch": 20}, 9,
        [("bn1", 64, "conv1", "ReLU"), ("layer1.0.bn1", 64, "layer1.0.conv1", "ReLU"),
         ("layer4.1.bn2", 512, "layer4.1.conv2", ""), ("layer2.0.downsample.1", 128, "layer2.0.downsample.0", "")],
        "layer3",
    ),
    "torchvision vgg11": Known(
        vgg11, {"none": 10}, 10,
        [("features.0", 64, "features.0", "ReLU"), ("features.18", 512, "features.18", "ReLU"),
         ("classifier.3", 64, "classifier.3", "ReLU")],
        "classifier",
    ),
    "torchvision mobilenet_v3_small": Known(
        of_torchvision("mobilenet_v3_small"), {"batch": 34}, 23,
        [("features.0.1", 16, "features.0.0", "Hardswish"),
         ("features.1.block.0.1", 16, "features.1.block.0.0", "ReLU"),
         ("features.1.block.2.1", 16, "features.1.block.2.0", "")],
        "features.4",
    ),
    "timm resnet": Known(
        of_timm("test_resnet"), {"batch": 15}, 8,
        [("conv1.1", 16, "conv1.0", "ReLU"), ("bn1", 32, "conv1.6", "ReLU"),
         ("layer1.0.bn2", 32, "layer1.0.conv2", "")],
        "layer2",
    ),
    "timm convnext": Known(
        of_timm("test_convnext"), {"layer": 14}, 0,
        [("stem.1", 24, "stem.0", ""), ("stages.0.blocks.0.norm", 24, "stages.0.blocks.0.conv_dw", ""),
         ("stages.1.downsample.0", 24, "", "")],
        "stages.1",
    ),
    "timm vit": Known(
        of_timm("test_vit", img_size=32), {"layer": 13}, 0, [("blocks.0.norm1", 64, "", "")], "blocks.2"
    ),
    "timm regnet": Known(
        of_timm("regnetx_002"), {"batch": 44}, 27,
        [("stem.bn", 32, "stem.conv", "ReLU"), ("s1.b1.conv3.bn", 24, "s1.b1.conv3.conv", "")],
        "s4",
    ),
    "timm efficientnet": Known(
        of_timm("test_efficientnet"), {"batch": 13}, 9,
        [("bn1", 24, "conv_stem", "SiLU"), ("blocks.1.0.bn2", 24, "blocks.1.0.conv_pwl", "")],
        "blocks.1",
    ),
}  # fmt: skip

_TORCHS = (
    nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm
)  # fmt: skip


@pytest.fixture
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[ModelConfig, Known]:
    """The configuration of a known network, and what must be found in it."""
    one = KNOWN[request.param]
    monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *_: one.make())
    return ModelConfig(name="custom", factory=f"known:{request.param.replace(' ', '_')}"), one


every_network = pytest.mark.parametrize("known", KNOWN, indirect=True)


@every_network
def test_every_norm_is_listed_with_its_layer_and_its_activation(known: tuple[ModelConfig, Known]) -> None:
    """Judge: the norms among the network's modules by torch's classes, and some places as its source has them."""
    model, one = known
    places = find_places(model, IMAGES, CLASSES)
    norms = {path for path, module in one.make().named_modules() if isinstance(module, _TORCHS)}
    if norms:
        assert sorted(place.path for place in places) == sorted(norms)
    assert Counter(place.kind for place in places) == one.kinds
    assert sum(place.can_be_after for place in places) == one.movable
    assert not any(place.can_be_before for place in places)
    found = {place.path: place for place in places}
    assert [_told(found[path]) for path, *_ in one.some] == one.some


def _told(place: Site) -> tuple[str, int, str, str]:
    return place.path, place.channels, place.layer, place.after


def _questions(model: ModelConfig, one: Known) -> dict[str, NormConfig]:
    own = {} if "none" in one.kinds else {"as it is": NormConfig(name="own")}
    kept = "batch" if "none" in one.kinds else "own"
    after = {"after": NormConfig(name=kept, placement=Placement.after)} if one.movable else {}
    return {
        "no norm": NormConfig(),
        **own,
        **{name: NormConfig(name=name) for name in ("batch", "layer", "group")},
        **after,
        "without a stage": NormConfig(name=kept, without=one.stage),
    }


@every_network
def test_every_question_is_trained_for_a_few_steps_from_the_same_weights(known: tuple[ModelConfig, Known]) -> None:
    """Judge of the weights: the network without norms, whose layers have the names of its source."""
    model, one = known
    first: dict[str, torch.Tensor] = {}
    outputs = {}
    images = torch.rand(4, *IMAGES, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(4) % CLASSES
    for question, norm in _questions(model, one).items():
        trial = Trial.from_config(Config(model=model, norm=norm), train_size=1000, data_checksum="")
        net = build_model(trial, IMAGES, CLASSES)
        drawn = {
            name.replace(".normed_layer", ""): value.clone()
            for name, value in net.state_dict().items()
            if name.endswith("weight") and value.dim() > 1
        }
        first = first or drawn
        assert drawn.keys() == first.keys()
        assert all(torch.equal(value, first[name]) for name, value in drawn.items())
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.01), []
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(net.train()(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert all(map(math.isfinite, losses)), question
        assert len({*losses}) == 2, question
        outputs[question] = losses[0]
    same = {"as it is", "batch" if "batch" in one.kinds else "none"} if "none" not in one.kinds else set()
    different = [loss for question, loss in outputs.items() if question not in same]
    assert len({round(loss, 6) for loss in different}) == len(different), outputs
