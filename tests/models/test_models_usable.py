"""Networks as people write them: what cannot be trained is refused in one line that names what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import ConfigError, ModelConfig, NormConfig
from bnbench.models import norm_sites
from bnbench.models.own import own_network

IMAGES = (1, 8, 8)


class Net(nn.Module):
    """Linear, batch norm, whatever stands between, linear."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.middle = nn.Linear(64, 20), nn.BatchNorm1d(20), nn.Sequential(*middle)
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(F.relu(self.norm(self.first(x.flatten(1))))))


class Auxiliary(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return (y, y) if self.training else y


class Named(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": super().forward(x)}


class Probabilities(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class Squeezed(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class Detached(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.first(x.flatten(1)))).detach())


class Failing(Net):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("no loss set")
        return super().forward(x)


class Overwriting(Net):
    """Writes into what the gradient of ReLU still needs."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.first(x.flatten(1))), inplace=True)
        y += 1
        return self.head(y)


class Built(Net):
    """A layer that is made when the first images come."""

    def __init__(self) -> None:
        super().__init__()
        self.early: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.early is None:
            self.early = nn.Linear(64, 64)
        return super().forward(self.early(x.flatten(1)))


class Spare(Net):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.LazyLinear(3)


def compiled_part() -> nn.Module:
    net = Net(nn.Linear(20, 20))
    net.middle.compile()
    return net


class Skipping(Net):
    """Leaves a layer out at random while training."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x.flatten(1))))
        return self.head(x + self.middle(x) if not self.training or torch.rand(()) < 0.5 else x)


Configure = Callable[[object], ModelConfig]


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """The configuration of a network that a function of this file makes."""

    def configure(make: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own_modules.factory", lambda key, name: make)
        return ModelConfig(name="custom", factory=f"here:made{id(make)}")

    return configure


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda *a: Auxiliary(), " puts out a tuple for 2 images while training; it must be logits of shape (2, 10)"),
        (lambda *a: Named(), " puts out a dict for 2 images; it must be logits of shape (2, 10)"),
        (lambda *a: Probabilities(), " puts out probabilities, which sum to 1; it must be logits"),
        (lambda *a: Squeezed(), " puts out (10,) for 1 image; it must be logits of shape (1, 10)"),
        (lambda *a: torch.compile(Net()), ": its network is compiled (torch.compile)"),
        (lambda *a: compiled_part(), ": its middle is compiled (torch.compile)"),
        (lambda *a: torch.jit.trace(Net().eval(), torch.zeros(2, 1, 8, 8)), ": its network is compiled (TorchScript)"),
        (lambda *a: nn.DataParallel(Net()), ": its network is wrapped for several devices (DataParallel)"),
        (lambda *a: Overwriting(), ": its backward pass fails: RuntimeError: one of the variables needed for gradient"),
        (lambda *a: Built(), ": its forward makes early.weight, early.bias, which nobody would train"),
        (lambda *a: Spare(), ": its forward does not use spare.weight, spare.bias, which are lazy"),
        (lambda *a: Detached(), ": no gradient reaches first.weight, first.bias, norm.weight, norm.bias: its forward"),
        (lambda *a: Net().requires_grad_(False), " has no parameter to train; set requires_grad=True on one"),
        (lambda *a: Failing(), ": its forward fails on images (1, 8, 8) while training: RuntimeError: no loss set"),
        (lambda *a: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), ": its forward fails on images (1, 8, 8): "),
        (Net(), " is a network, which trials would share; give a function that makes one"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained_is_refused_by_what_it_is(
    make: object, said: str, made_here: Configure
) -> None:
    model = made_here(make)
    with pytest.raises(ConfigError) as caught:
        norm_sites(model, IMAGES, 10)
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"model.factory={model.factory}{said}")


@pytest.mark.parametrize(
    "make",
    [
        lambda *a: Net().double(),
        lambda *a: Skipping(nn.Linear(20, 20)),
        lambda *a: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)),
        lambda: Net(),
    ],
    ids=["double", "skipping", "lazy", "without arguments"],
)
def test_a_network_that_can_be_trained_is_not_refused(make: object, made_here: Configure) -> None:
    assert len(norm_sites(made_here(make), IMAGES, 10)) == 1


def test_a_frozen_norm_s_place_is_taken_by_a_frozen_one(made_here: Configure) -> None:
    def make(*a: object) -> nn.Module:
        net = Net()
        net.norm.weight.requires_grad_(False)
        return net

    net = own_network(made_here(make), NormConfig(name="batch"), IMAGES, 10)
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert frozen == ["norm.weight"]
