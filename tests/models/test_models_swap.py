"""A norm that stands in a network is replaced at every place, or the network is refused: none stays by mistake."""

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

Making = Callable[..., nn.Module]


@pytest.fixture
def made_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Making], ModelConfig]:
    """The configuration of a network that a function of this file makes."""

    def configure(make: Making, **keys: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own_modules.factory", lambda key, name: make)
        return ModelConfig(name="custom", factory=f"here:made{id(make)}", **keys)  # type: ignore[arg-type]

    return configure


class Twice(nn.Module):
    """Two linear layers, each followed by a norm; how the forward finds that is `find`'s affair."""

    def __init__(self, find: Callable[[Twice, int], nn.Module], *, shared: bool = True) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(36, 8), nn.Linear(8, 8), nn.Linear(8, 5)
        self.n1 = nn.BatchNorm1d(8)
        self.n2 = self.n1 if shared else nn.BatchNorm1d(8)
        self.listed = nn.ModuleList([self.n1, self.n2])
        self.plain = [self.n1, self.n2]
        self.find = find

    def forward(self, x: Tensor) -> Tensor:
        x = self.find(self, 0)(self.a(x.flatten(1))).relu()
        return self.head(self.find(self, 1)(self.b(x)).relu())


def in_sequence(*_: object) -> nn.Module:
    norm = nn.BatchNorm1d(8)
    layers = [nn.Flatten(), nn.Linear(36, 8), norm, nn.ReLU(), nn.Linear(8, 8), norm, nn.Linear(8, 5)]
    return nn.Sequential(*layers)


SHARED: dict[str, Making] = {
    "in a sequence": in_sequence,
    "under two names": lambda *_: Twice(lambda net, i: (net.n1, net.n2)[i]),
    "in a ModuleList": lambda *_: Twice(lambda net, i: net.listed[i]),
    "called twice": lambda *_: Twice(lambda net, i: net.n1),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
@pytest.mark.parametrize(("norm", "kind"), [("none", None), ("batch", BatchNorm), ("layer", LayerNorm)])
def test_one_norm_at_several_places_is_replaced_at_all_of_them(make, norm, kind, made_by) -> None:
    model = made_by(make)
    assert len(survey(model, IMAGES, 5).sites) == 2
    net = own_network(model, NormConfig(name=norm), IMAGES, 5)
    found = [module for _, module in net.named_modules(remove_duplicate=False)]
    assert not [module for module in found if type(module) is nn.BatchNorm1d]
    if kind is not None:
        norms = [module for module in found if isinstance(module, kind)]
        assert len(norms) > 1 or make is SHARED["called twice"]
        assert len({*map(id, norms)}) == 1, "its places no longer share it"
    net.train()(torch.rand(4, *IMAGES)).sum().backward()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda *_: Twice(lambda net, i: net.plain[i], shared=False), "uses a BatchNorm1d by another way than by its"),
        (lambda *_: Twice(lambda net, i: (net.n1, nn.LayerNorm(8))[i]), "uses a LayerNorm by another way"),
        (lambda *_: Twice(lambda net, i: (net.n1, lambda x: F.layer_norm(x, (8,)))[i]), "calls layer_norm"),
        (lambda *_: Twice(lambda net, i: (lambda x: F.batch_norm(x, None, None, training=True))), "calls batch_norm"),
        (lambda *_: Twice(lambda net, i: (lambda x: torch.layer_norm(x, (8,))) if net.training else net.n1),
         "calls layer_norm"),
        (lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(36, 8), BatchNorm(8), nn.Linear(8, 5)), "place of 2 (BatchN"),
        (lambda *_: nn.Sequential(*[nn.Flatten(), nn.LayerNorm(36)] * 2, nn.Linear(36, 5)), "place of 1 (LayerNorm)"),
    ],
    ids=["plain list", "made in forward", "function", "batch function", "while training", "bnbench's", "layer norm"],
)  # fmt: skip
def test_a_norm_that_cannot_be_replaced_is_refused_by_name(make, said, made_by) -> None:
    with pytest.raises(ConfigError) as caught:
        survey(made_by(make), IMAGES, 5)
    [line] = str(caught.value).splitlines()
    assert said in line
    assert line.startswith("model.factory=here:")


ONE = in_sequence()
BETWEEN = nn.BatchNorm1d(36)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda *_: ONE, "returns the same BatchNorm1d, Flatten, Linear, Parameter"),
        (lambda *_: nn.Sequential(nn.Flatten(), BETWEEN, nn.Linear(36, 5)), "returns the same BatchNorm1d, Parameter"),
    ],
    ids=["network", "norm"],
)
def test_a_function_that_returns_one_object_again_and_again_is_refused(make, said, made_by) -> None:
    with pytest.raises(ConfigError, match=said):
        survey(made_by(make), IMAGES, 5)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_start_with_what_the_network_brings_only_where_it_is_kept(norm, made_by) -> None:
    def make(*_: object) -> nn.Module:
        net = in_sequence()
        nn.init.zeros_(net[2].weight)
        net[2].running_mean.fill_(3)
        return net

    kept = own_network(made_by(make, init=Init.own), NormConfig(name=norm), IMAGES, 5)[2]
    anew = own_network(made_by(make), NormConfig(name=norm), IMAGES, 5)[2]
    assert (kept.weight == 0).all()
    assert (anew.weight == 1).all()
    if norm == "batch":
        assert (kept.running_mean == 3).all()
        assert (anew.running_mean == 0).all()
