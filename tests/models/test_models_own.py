"""Networks that users write: norms are replaced, geometry is that of the real layers, errors take one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bnbench.config import Config, ConfigError, ModelConfig, NormConfig, Trial, factory
from bnbench.models import NormSite, build_model, norm_sites
from bnbench.models.dropout import Dropout
from bnbench.models.geometry import work
from bnbench.models.own import own_network
from bnbench.norms import make_norm
from bnbench.norms.batch import BatchNorm
from bnbench.norms.group import GroupNorm, LayerNorm

RESIDUAL = "bnbench.examples.network:residual"
SMALL = ModelConfig(name="custom", factory=RESIDUAL, depth=1, width=6)
IMAGES = (3, 8, 8)


def trial(model: ModelConfig = SMALL, seed: int = 0, norm: NormConfig | None = None) -> Trial:
    config = Config(seed=seed, model=model, norm=norm or NormConfig(name="batch"))
    return Trial.from_config(config, train_size=1000, data_checksum="")


@pytest.mark.parametrize(("name", "kind"), [("batch", BatchNorm), ("layer", LayerNorm), ("group", GroupNorm)])
def test_every_norm_is_replaced_by_the_chosen_one(name: str, kind: type) -> None:
    net = own_network(SMALL, NormConfig(name=name, groups=2), IMAGES, 5)
    norms = [module for module in net.modules() if isinstance(module, kind)]
    assert [norm.features for norm in norms] == [6, 6, 6]
    assert not [module for module in net.modules() if type(module) is nn.BatchNorm2d]


def test_without_a_norm_every_norm_is_replaced_by_the_identity() -> None:
    net = own_network(SMALL, NormConfig(), IMAGES, 5)
    assert sum(isinstance(module, nn.Identity) for module in net.modules()) == 3
    assert sum(p.numel() for p in net.parameters()) == 9 * 3 * 6 + 2 * 9 * 6 * 6 + 6 * 5 + 5


def test_its_geometry_is_that_of_the_real_layers() -> None:
    assert norm_sites(SMALL, IMAGES, 5) == [
        NormSite("1", 6, 16), NormSite("3.norm1", 6, 16), NormSite("3.norm2", 6, 16)
    ]  # fmt: skip
    total = work(SMALL, IMAGES, 5)
    assert total.conv == 16 * 9 * 6 * (3 + 6 + 6)
    assert (total.linear, total.conv_channels) == (6 * 5, (6, 6, 6))
    assert total.weights == 9 * 6 * (3 + 6 + 6) + 3 * 2 * 6 + 6 * 5 + 5


def test_arms_of_one_seed_share_their_weights_and_seeds_differ() -> None:
    none, batch = (build_model(trial(norm=NormConfig(name=name)), IMAGES, 5).state_dict() for name in ("none", "batch"))
    other = build_model(trial(seed=1), IMAGES, 5).state_dict()
    for name, value in none.items():
        assert torch.equal(value, batch[name])
        assert not torch.equal(value, other[name])


MakeNetwork = Callable[[tuple[int, int, int], int, ModelConfig], object]


class Scaled(nn.Module):
    """A parameter that no layer of torch has, drawn by torch's global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(1))
        self.head = nn.Linear(192, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.head(x.flatten(1))


def scaled(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    return Scaled()


def dropping(image_shape: tuple[int, int, int], classes: int, model: ModelConfig) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(192, 5), nn.Dropout(0.0))


@pytest.fixture
def custom_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[MakeNetwork], ModelConfig]:
    """Gives the configuration of a network that a function of this file makes."""

    def configure(make_network: MakeNetwork) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: make_network)
        return ModelConfig(name="custom", factory=f"here:{make_network.__name__}{id(make_network)}")

    return configure


def test_a_parameter_that_the_network_draws_depends_on_the_seed_alone(
    custom_model: Callable[[MakeNetwork], ModelConfig],
) -> None:
    model = custom_model(scaled)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, repeated, other = (build_model(trial(model, seed), IMAGES, 5).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["scale"], repeated["scale"])
    assert not torch.equal(first["scale"], other["scale"])


def test_dropout_is_replaced_by_one_whose_masks_are_the_trial_s(
    custom_model: Callable[[MakeNetwork], ModelConfig],
) -> None:
    net = own_network(custom_model(dropping), NormConfig(), IMAGES, 5)
    assert [type(layer) for layer in net] == [nn.Flatten, Dropout, nn.Linear, nn.Identity]


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 5)
        self.spare = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


@pytest.mark.parametrize(
    ("make_network", "message"),
    [
        (lambda *a: 1 / 0, "failed for images (3, 8, 8) and 5 classes: ZeroDivisionError: division by zero"),
        (lambda *a: "net", "returned str; it must be a torch.nn.Module"),
        (lambda *a: nn.Sequential(nn.Flatten(), nn.Linear(10, 5)), "forward fails on images (3, 8, 8): RuntimeError"),
        (lambda *a: nn.Sequential(nn.Flatten(), nn.Linear(192, 6)), "puts out (2, 6) for 2 images; it must be logits"),
        (lambda *a: Unused(), "no gradient reaches spare.weight, spare.bias: its forward does not use them"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained_is_refused_in_one_line(
    make_network: MakeNetwork, message: str, custom_model: Callable[[MakeNetwork], ModelConfig]
) -> None:
    with pytest.raises(ConfigError) as caught:
        norm_sites(custom_model(make_network), IMAGES, 5)
    [line] = str(caught.value).splitlines()
    assert message in line
    assert line.startswith("model.factory=here:")


def test_a_custom_norm_s_function_is_called_with_its_channels_and_its_section() -> None:
    layer = make_norm(NormConfig(name="custom", factory="bnbench.examples.norm:max_norm", eps=0.5), 7)
    assert layer is not None
    x = torch.randn(9, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), x / (x.abs().amax(0) + 0.5))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json:loads", "norm.factory=json:loads failed for 7 channels: TypeError"),
        ("builtins:max", "norm.factory=builtins:max failed for 7 channels: TypeError"),
        ("bnbench.config.factory:source_hash", "norm.factory=bnbench.config.factory:source_hash failed"),
        ("bnbench.examples.norm:no", "bnbench.examples.norm has none of that name"),
    ],
)
def test_a_norm_s_function_that_makes_no_layer_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_norm(NormConfig(name="custom", factory=name), 7)
    [line] = str(caught.value).splitlines()
    assert message in line


def test_an_edited_file_makes_another_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my_own_network.py"
    monkeypatch.chdir(tmp_path)
    keys = []
    for text in ("def make(*a): ...\n", "def make(*a): ...  # again\n", "def make(*a): ...\n"):
        file.write_text(text)
        factory._imported_digests.clear()
        keys.append(trial(ModelConfig(name="custom", factory="my_own_network:make")).key)
    assert keys[0] == keys[2] != keys[1]


def test_a_file_that_was_edited_after_its_import_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a notebook would train the version it has imported, under the key of the version now in the file."""
    file = tmp_path / "edited_own_network.py"
    monkeypatch.chdir(tmp_path)
    model = ModelConfig(name="custom", factory="edited_own_network:make")
    file.write_text("def make(*a): ...\n")
    assert trial(model).key
    file.write_text("def make(*a): ...  # again\n")
    with pytest.raises(ConfigError, match=r"edited_own_network\.py was edited after this process had imported it"):
        _ = trial(model).key
