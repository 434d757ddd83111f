"""Weights that a network brings are kept where that is asked for, and are never lost without a word."""

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

Making = Callable[..., nn.Module]


@pytest.fixture
def made_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelConfig]:
    """The configuration of a network that a function of this file makes."""

    def configure(make: Making, **keys: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own_modules.factory", lambda key, name: make)
        return ModelConfig(name="custom", factory=f"here:made{id(make)}", **keys)  # type: ignore[arg-type]

    return configure


def plain(*_: object) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


def changed(change: Callable[[nn.Sequential], object]) -> Making:
    def make(*_: object) -> nn.Module:
        net = plain()
        with torch.no_grad():
            change(net)
        return net

    return make


LOADED = {name: torch.full_like(value, 0.5) for name, value in plain().state_dict().items()}
# Which layers have weights of their own, and whether all of their values are the same at every seed.
OWN: dict[str, tuple[Making, tuple[str, ...], bool]] = {
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


@pytest.mark.parametrize(("make", "layers", "fixed"), OWN.values(), ids=OWN)
def test_weights_that_are_no_constructor_s_are_found(make, layers, fixed, made_by) -> None:
    brought = survey(made_by(make), IMAGES, 5).brought
    assert (brought.layers, brought.of) == (layers, 3)
    assert bool(brought.checksum) == fixed


@pytest.mark.parametrize("make", [plain, lambda shape, classes, model: residual(shape, classes, model)])
def test_constructors_defaults_are_no_weights_of_its_own(make, made_by) -> None:
    assert survey(made_by(make, width=4), IMAGES, 5).brought.layers == ()


def trial(model: ModelConfig, seed: int = 0, norm: str = "batch") -> Trial:
    return Trial.from_config(
        Config(seed=seed, model=model, norm=NormConfig(name=norm)), train_size=1000, data_checksum=""
    )


@pytest.mark.parametrize("make", [make for make, _, _ in OWN.values()], ids=OWN)
def test_own_weights_are_kept_in_every_arm_of_a_seed(make, made_by) -> None:
    model = made_by(make, init=Init.own)
    batch, none, again = (
        build_model(trial(model, seed, norm), IMAGES, 5).state_dict()
        for seed, norm in ((3, "batch"), (3, "none"), (3, "batch"))
    )
    for name, value in none.items():
        assert torch.equal(value, batch[name])
    for name, value in batch.items():
        assert torch.equal(value, again[name])
    with seeded(derive(3, "network")):
        made = make().state_dict()
    for name, value in none.items():
        assert torch.equal(value, made[name])
    anew = build_model(trial(replace(model, init=Init.torch), 3), IMAGES, 5).state_dict()
    assert not torch.equal(anew["4.weight"], batch["4.weight"])


def test_the_zeroed_head_stays_zero_and_by_default_does_not(made_by) -> None:
    make = changed(lambda net: net[4].weight.zero_())
    kept, anew = (
        build_model(trial(made_by(make, init=init)), IMAGES, 5).state_dict() for init in (Init.own, Init.torch)
    )
    assert (kept["4.weight"] == 0).all()
    assert (anew["4.weight"] != 0).any()


def test_a_network_that_no_seed_makes_again_is_refused(made_by) -> None:
    generator = np.random.default_rng(0)
    draw = changed(lambda net: net[1].weight.copy_(torch.from_numpy(generator.random((8, 36)))))
    assert survey(made_by(draw), IMAGES, 5).brought.layers == ("1",)  # which is drawn anew
    with pytest.raises(ConfigError, match=r"gives 1\.weight other values at every call, whatever the seed"):
        survey(made_by(draw, init=Init.own), IMAGES, 5)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"name": "fc", "init": Init.own},
            "model.init=own keeps the weights that model=custom brings; model=fc brings",
        ),
        ({"name": "cnn", "head_init": Init.own}, "model.head_init=own keeps the weights that model=custom brings"),
        ({"name": "custom", "init": Init.own, "init_gain": 2.0}, "model.init_gain=2.0 contradicts model.init=own"),
    ],
)
def test_own_weights_contradict_what_has_none(keys, said) -> None:
    factory = {"factory": "bnbench.examples.network:residual"} if keys["name"] == "custom" else {}
    [line] = config_errors(Config(model=ModelConfig(**keys, **factory)), 1000)
    assert said in line


def test_kept_weights_and_their_file_are_a_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        monkeypatch.setattr("bnbench.models.own._surveys", {})
        model = ModelConfig(name="custom", factory="loads_its_weights:net", init=init)
        config = Config(model=model, data=replace(Config().data, name="digits"))
        keys.append(DataLoader(tmp_path).trial(config).key)
    assert len({*keys}) == 3
    assert keys[2] == keys[3], "weights that are drawn anew count for nothing"
