"""Every norm of a custom network is replaced at all its places, or the network is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import ConfigError, Init, ModelConfig, NormConfig
from bnbench.models.own import own_network, survey
from bnbench.norms.batch import BatchNorm
from bnbench.norms.group import LayerNorm

IMAGES = (1, 6, 6)

MakeNetwork = Callable[..., nn.Module]


@pytest.fixture
def custom_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[MakeNetwork], ModelConfig]:
    """Gives the configuration of a network that a function of this file makes."""

    def configure(make_network: MakeNetwork, **keys: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: make_network)
        return ModelConfig(name="custom", factory=f"here:make{id(make_network)}", **keys)  # type: ignore[arg-type]

    return configure


class Twice(nn.Module):
    """Two linear layers, each followed by a norm, which `find(network, index)` returns to the forward pass."""

    def __init__(self, find: Callable[[Twice, int], nn.Module], *, shared: bool = True) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 5)
        self.n1 = nn.BatchNorm1d(8)
        self.n2 = self.n1 if shared else nn.BatchNorm1d(8)
        self.module_list = nn.ModuleList([self.n1, self.n2])
        self.plain_list = [self.n1, self.n2]
        self.find = find

    def forward(self, x: Tensor) -> Tensor:
        x = self.find(self, 0)(self.a(x.flatten(1))).relu()
        return self.head(self.find(self, 1)(self.b(x)).relu())


def in_sequence(*_: object) -> nn.Module:
    norm = nn.BatchNorm1d(8)
    layers = [nn.Flatten(), nn.Linear(36, 8), norm, nn.ReLU(), nn.Linear(8, 8), norm, nn.Linear(8, 5)]
    return nn.Sequential(*layers)


SHARED: dict[str, MakeNetwork] = {
    "in a sequence": in_sequence,
    "under two names": lambda *_: Twice(lambda net, i: (net.n1, net.n2)[i]),
    "in a ModuleList": lambda *_: Twice(lambda net, i: net.module_list[i]),
    "called twice": lambda *_: Twice(lambda net, i: net.n1),
}


@pytest.mark.parametrize("make_network", SHARED.values(), ids=SHARED)
@pytest.mark.parametrize(("norm", "kind"), [("none", None), ("batch", BatchNorm), ("layer", LayerNorm)])
def test_one_norm_at_several_places_is_replaced_at_all_of_them(make_network, norm, kind, custom_model) -> None:
    model = custom_model(make_network)
    assert len(survey(model, IMAGES, 5).sites) == 2
    net = own_network(model, NormConfig(name=norm), IMAGES, 5)
    modules = [module for _, module in net.named_modules(remove_duplicate=False)]
    assert not [module for module in modules if type(module) is nn.BatchNorm1d]
    if kind is not None:
        norms = [module for module in modules if isinstance(module, kind)]
        assert len(norms) > 1 or make_network is SHARED["called twice"]
        assert len({*map(id, norms)}) == 1, "all places use the same norm"
    net.train()(torch.rand(4, *IMAGES)).sum().backward()


@pytest.mark.parametrize(
    ("make_network", "message"),
    [
        (lambda *_: Twice(lambda net, i: net.plain_list[i], shared=False), "uses a BatchNorm1d that is no attribute"),
        (lambda *_: Twice(lambda net, i: (net.n1, nn.LayerNorm(8))[i]), "uses a LayerNorm that is no attribute"),
        (lambda *_: Twice(lambda net, i: (net.n1, lambda x: F.layer_norm(x, (8,)))[i]), "calls layer_norm"),
        (lambda *_: Twice(lambda net, i: (lambda x: F.batch_norm(x, None, None, training=True))), "calls batch_norm"),
        (lambda *_: Twice(lambda net, i: (lambda x: torch.layer_norm(x, (8,))) if net.training else net.n1),
         "calls layer_norm"),
    ],
    ids=["plain list", "made in forward", "function", "batch function", "while training"],
)  # fmt: skip
def test_a_norm_that_cannot_be_replaced_is_refused_by_name(make_network, message, custom_model) -> None:
    with pytest.raises(ConfigError) as caught:
        survey(custom_model(make_network), IMAGES, 5)
    [line] = str(caught.value).splitlines()
    assert message in line
    assert line.startswith("model.factory=here:")


NETWORK = in_sequence()
NORM = nn.BatchNorm1d(36)


@pytest.mark.parametrize(
    ("make_network", "message"),
    [
        (lambda *_: NETWORK, "returns the same BatchNorm1d, Flatten, Linear, Parameter"),
        (lambda *_: nn.Sequential(nn.Flatten(), NORM, nn.Linear(36, 5)), "returns the same BatchNorm1d, Parameter"),
    ],
    ids=["network", "norm"],
)
def test_a_function_that_returns_the_same_object_at_every_call_is_refused(make_network, message, custom_model) -> None:
    with pytest.raises(ConfigError, match=message):
        survey(custom_model(make_network), IMAGES, 5)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_start_with_the_values_that_the_network_brings_only_if_those_are_kept(norm, custom_model) -> None:
    def make_network(*_: object) -> nn.Module:
        net = in_sequence()
        nn.init.zeros_(net[2].weight)
        net[2].running_mean.fill_(3)
        return net

    keeping = own_network(custom_model(make_network, init=Init.own), NormConfig(name=norm), IMAGES, 5)[2]
    redrawn = own_network(custom_model(make_network), NormConfig(name=norm), IMAGES, 5)[2]
    assert (keeping.weight == 0).all()
    assert (redrawn.weight == 1).all()
    if norm == "batch":
        assert (keeping.running_mean == 3).all()
        assert (redrawn.running_mean == 0).all()
