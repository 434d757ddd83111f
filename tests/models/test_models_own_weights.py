"""Weights that a custom network brings: they are kept with model.init=own, and else they are reported."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.config import Config, ConfigError, Init, ModelConfig, NormConfig, Trial, config_errors, factory
from bnbench.examples.network import residual
from bnbench.models import build_model
from bnbench.models.own import survey
from bnbench.sweep.planning.plan import DataLoader
from bnbench.tensors.seeding import derive, seeded

IMAGES = (1, 6, 6)

MakeNetwork = Callable[..., nn.Module]


@pytest.fixture
def custom_model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelConfig]:
    """Gives the configuration of a network that a function of this file makes."""

    def configure(make_network: MakeNetwork, **keys: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: make_network)
        return ModelConfig(name="custom", factory=f"here:make{id(make_network)}", **keys)  # type: ignore[arg-type]

    return configure


def default_network(*_: object) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


def changed(change: Callable[[nn.Sequential], object]) -> MakeNetwork:
    """A function that makes the default network and changes it."""

    def make_network(*_: object) -> nn.Module:
        net = default_network()
        with torch.no_grad():
            change(net)
        return net

    return make_network


LOADED = {name: torch.full_like(value, 0.5) for name, value in default_network().state_dict().items()}
# Networks: how each is made, which of its layers have weights that are not defaults, and whether no seed changes them.
NETWORKS: dict[str, tuple[MakeNetwork, tuple[str, ...], bool]] = {
    "zeroed head": (changed(lambda net: net[4].weight.zero_()), ("4",), False),
    "zeroed by .data": (changed(lambda net: net[4].weight.data.zero_()), ("4",), False),
    "zeroed bias": (changed(lambda net: nn.init.zeros_(net[1].bias)), ("1",), False),
    "scale of a norm": (changed(lambda net: nn.init.zeros_(net[2].weight)), ("2",), True),
    "pretrained": (changed(lambda net: net.load_state_dict(LOADED)), ("1", "2", "4"), True),
    "drawn otherwise": (changed(lambda net: nn.init.xavier_normal_(net[1].weight)), ("1",), False),
    "hardly otherwise": (changed(lambda net: net[1].weight.mul_(1.0001)), ("1",), False),
    "by numpy": (changed(lambda net: net[1].weight.copy_(torch.from_numpy(np.random.rand(8, 36)))), ("1",), False),
    "another parameter": (
        changed(lambda net: setattr(net[4], "weight", nn.Parameter(torch.zeros(5, 8)))), ("4",), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make_network", "layers", "fixed"), NETWORKS.values(), ids=NETWORKS)
def test_weights_that_are_not_a_constructor_s_are_detected(make_network, layers, fixed, custom_model) -> None:
    brought = survey(custom_model(make_network), IMAGES, 5).brought_weights
    assert (brought.layers, brought.layer_count) == (layers, 3)
    assert bool(brought.checksum) == fixed


@pytest.mark.parametrize(
    "make_network", [default_network, lambda shape, classes, model: residual(shape, classes, model)]
)
def test_constructors_defaults_are_not_taken_for_weights_that_it_brings(make_network, custom_model) -> None:
    assert survey(custom_model(make_network, width=4), IMAGES, 5).brought_weights.layers == ()


def trial(model: ModelConfig, seed: int = 0, norm: str = "batch") -> Trial:
    return Trial.from_config(
        Config(seed=seed, model=model, norm=NormConfig(name=norm)), train_size=1000, data_checksum=""
    )


@pytest.mark.parametrize("make_network", [make_network for make_network, _, _ in NETWORKS.values()], ids=NETWORKS)
def test_brought_weights_are_kept_in_every_arm_of_a_seed(make_network, custom_model) -> None:
    model = custom_model(make_network, init=Init.own)
    batch, none, repeated = (
        build_model(trial(model, seed, norm), IMAGES, 5).state_dict()
        for seed, norm in ((3, "batch"), (3, "none"), (3, "batch"))
    )
    for name, value in none.items():
        assert torch.equal(value, batch[name])
    for name, value in batch.items():
        assert torch.equal(value, repeated[name])
    with seeded(derive(3, "network")):
        brought = make_network().state_dict()
    for name, value in none.items():
        assert torch.equal(value, brought[name])
    redrawn = build_model(trial(replace(model, init=Init.torch), 3), IMAGES, 5).state_dict()
    assert not torch.equal(redrawn["4.weight"], batch["4.weight"])


def test_the_zeroed_head_stays_zero_and_by_default_does_not(custom_model) -> None:
    make_network = changed(lambda net: net[4].weight.zero_())
    kept_weights, redrawn = (
        build_model(trial(custom_model(make_network, init=init)), IMAGES, 5).state_dict()
        for init in (Init.own, Init.torch)
    )
    assert (kept_weights["4.weight"] == 0).all()
    assert (redrawn["4.weight"] != 0).any()


def test_a_network_that_differs_at_every_call_with_one_seed_is_refused(custom_model) -> None:
    generator = np.random.default_rng(0)
    draw = changed(lambda net: net[1].weight.copy_(torch.from_numpy(generator.random((8, 36)))))
    assert survey(custom_model(draw), IMAGES, 5).brought_weights.layers == (
        "1",
    )  # no error, for by default layer 1 is drawn anew
    with pytest.raises(ConfigError, match=r"gives 1\.weight other values at every call, whatever the seed"):
        survey(custom_model(draw, init=Init.own), IMAGES, 5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"name": "fc", "init": Init.own},
            "model.init=own keeps the weights that model=custom brings; model=fc brings",
        ),
        ({"name": "cnn", "head_init": Init.own}, "model.head_init=own keeps the weights that model=custom brings"),
        ({"name": "custom", "init": Init.own, "init_gain": 2.0}, "model.init_gain=2.0 contradicts model.init=own"),
    ],
)
def test_init_own_is_refused_for_models_without_weights_of_their_own_and_with_a_gain(keys, message) -> None:
    factory = {"factory": "bnbench.examples.network:residual"} if keys["name"] == "custom" else {}
    [line] = config_errors(Config(model=ModelConfig(**keys, **factory)), 1000)
    assert message in line


def test_brought_weights_are_a_part_of_the_key_if_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loads_its_weights.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net(shape, classes, model):\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
        "    net.load_state_dict(torch.load('weights.pt'))\n    return net\n"
    )
    factory._imported_digests.clear()
    keys = []
    for init, value in itertools.product((Init.own, Init.torch), (1.0, 2.0)):
        torch.save({"1.weight": torch.full((10, 64), value), "1.bias": torch.zeros(10)}, "weights.pt")
        monkeypatch.setattr("bnbench.models.own.custom_network._surveys", {})
        model = ModelConfig(name="custom", factory="loads_its_weights:net", init=init)
        config = Config(model=model, data=replace(Config().data, name="digits"))
        keys.append(DataLoader(tmp_path).trial(config).key)
    assert len({*keys}) == 3
    assert keys[2] == keys[3], "weights that are drawn anew do not depend on the file"
