"""Networks as people write them are trained as plain torch would: tied, frozen, cast, recurrent, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from bnbench.packing.pack import Pack
from bnbench.packing.packability import packability
from bnbench.training.fit import fit


class Net(nn.Module):
    def __init__(self, *middle: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.middle = nn.Linear(64, 20), nn.BatchNorm1d(20), nn.Sequential(*middle)
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(F.relu(self.norm(self.first(x.flatten(1))))))


def tied() -> nn.Module:
    net = Net(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20))
    net.middle[2].weight = net.middle[0].weight
    return net


def half_frozen() -> nn.Module:
    net = Net(nn.Linear(20, 20), nn.ReLU())
    net.first.requires_grad_(False)
    return net


class Cast(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


class Constant(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ torch.eye(10)


class Shifting(Net):
    """Writes into its input."""

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        return super().forward(x)


class Buffered(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1,), 0.3), persistent=False)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(x - self.mean)


class Skipping(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x.flatten(1))))
        return self.head(x + self.middle(x) if not self.training or random.random() < 0.5 else x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.norm, self.head = nn.GRU(8, 16, batch_first=True), nn.BatchNorm1d(16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.rnn(x.squeeze(1))[0][:, -1]))


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 16), nn.Linear(16, 16)])
        self.norms = nn.ModuleDict({"a": nn.BatchNorm1d(16), "b": nn.BatchNorm1d(16)})
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1)
        for layer, norm in zip(self.layers, self.norms.values(), strict=True):
            x = F.relu(norm(layer(x)))
        return self.head(x)


def hooked() -> nn.Module:
    net = Net()
    net.first.register_forward_hook(lambda module, x, y: y * 0.5)
    return net


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))


def pooled() -> nn.Module:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
            self.head = nn.Linear(6 * 16, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.flatten(F.max_pool2d(self.body(x), 2), 1))

    return Pooled()


def spectral() -> nn.Module:
    return Net(parametrizations.spectral_norm(nn.Linear(20, 20)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "tied": tied,
    "half frozen": half_frozen,
    "cast": lambda: Cast(),
    "constant": lambda: Constant(),
    "shifting": lambda: Shifting(),
    "double": lambda: Net().double(),
    "buffered": Buffered,
    "skipping": lambda: Skipping(nn.Linear(20, 20)),
    "recurrent": Recurrent,
    "listed": Listed,
    "hooked": hooked,
    "lazy": lazy,
    "pooled": pooled,
    "spectral": spectral,
}


@pytest.fixture
def trial_for(trial_of, monkeypatch):
    def make(kind: str, *overrides: str):
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: NETWORKS[kind])
        monkeypatch.setattr("bnbench.config.trial.source_hash", lambda key, name: "")
        words = ("model.name=custom", f"model.factory=here:{kind.replace(' ', '_')}", "data.name=digits")
        return trial_of(*words, "training.steps=8", "training.batch_size=9", "optimizer.lr=0.01", *overrides)

    return make


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_as_people_write_them_is_trained(kind: str, trial_for, images_of) -> None:
    trial = trial_for(kind, "norm.name=batch", "optimizer.name=adam")
    [result] = fit([trial], images_of(1, 8, 8), alone=packability(trial).why_alone is not None)
    assert result.status == "finished"
    loss = result.curves["val/loss"]
    assert loss[-1][1] != loss[0][1], "nothing was learned"


def test_frozen_layers_stay_and_are_not_counted(trial_for, images_of) -> None:
    states: list[dict[str, Tensor]] = []
    data = images_of(1, 8, 8)

    def look(pack: Pack) -> None:
        states.append({name: value.clone() for name, value in pack.slot_state(0).items()})

    for steps in (1, 8):
        overrides = (f"training.steps={steps}", "optimizer.name=adamw", "optimizer.weight_decay=0.1")
        trial = trial_for("half frozen", "norm.name=batch", *overrides)
        assert packability(trial).why_alone == "first.weight is frozen (requires_grad=False)"
        [result] = fit([trial], data, alone=True, look=look)
    one, eight = states
    changed = {name for name in one if not torch.equal(one[name], eight[name])}
    assert not {"first.weight", "first.bias"} & changed
    assert {"middle.0.weight", "head.weight", "norm.weight"} <= changed
    assert result.metrics["parameters/trainable"] == 2 * 20 + 21 * 20 + 21 * 10


@pytest.mark.parametrize(("kind", "said"), [("cast", "double precision"), ("constant", "double precision")])
def test_a_network_of_one_precision_is_trained_alone(kind: str, said: str, trial_for) -> None:
    assert said in str(packability(trial_for(kind, "norm.name=batch")).why_alone)
