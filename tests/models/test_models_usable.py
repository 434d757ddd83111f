"""Networks as people write them: one that cannot be trained is refused in one line that says why."""

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
    """Linear, batch norm, relu, the modules of `middle`, linear."""

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
    """Overwrites the output of ReLU, which its gradient needs."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.first(x.flatten(1))), inplace=True)
        y += 1
        return self.head(y)


class MakesLayerInForward(Net):
    """Makes a layer in its first forward pass."""

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
    """Leaves a layer out at random in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x.flatten(1))))
        return self.head(x + self.middle(x) if not self.training or torch.rand(()) < 0.5 else x)


Configure = Callable[[object], ModelConfig]


@pytest.fixture
def custom_model(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Gives the configuration of a network that a function of this file makes."""

    def configure(make_network: object) -> ModelConfig:
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: make_network)
        return ModelConfig(name="custom", factory=f"here:make{id(make_network)}")

    return configure


@pytest.mark.parametrize(
    ("make_network", "message"),
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
        (lambda *a: MakesLayerInForward(), ": its forward makes early.weight, early.bias, which would not be trained"),
        (lambda *a: Spare(), ": its forward does not use spare.weight, spare.bias, which are lazy"),
        (lambda *a: Detached(), ": no gradient reaches first.weight, first.bias, norm.weight, norm.bias: its forward"),
        (lambda *a: Net().requires_grad_(False), " has no parameter to train; set requires_grad=True on one"),
        (lambda *a: Failing(), ": its forward fails on images (1, 8, 8) while training: RuntimeError: no loss set"),
        (lambda *a: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), ": its forward fails on images (1, 8, 8): "),
        (Net(), " is a network, which trials would share; give a function that makes one"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained_is_refused_with_the_reason(
    make_network: object, message: str, custom_model: Configure
) -> None:
    model = custom_model(make_network)
    with pytest.raises(ConfigError) as caught:
        norm_sites(model, IMAGES, 10)
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"model.factory={model.factory}{message}")


@pytest.mark.parametrize(
    "make_network",
    [
        lambda *a: Net().double(),
        lambda *a: Skipping(nn.Linear(20, 20)),
        lambda *a: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)),
        lambda: Net(),
    ],
    ids=["double", "skipping", "lazy", "without arguments"],
)
def test_a_network_that_can_be_trained_is_not_refused(make_network: object, custom_model: Configure) -> None:
    assert len(norm_sites(custom_model(make_network), IMAGES, 10)) == 1


def test_a_frozen_norm_is_replaced_by_a_frozen_one(custom_model: Configure) -> None:
    def make_network(*a: object) -> nn.Module:
        net = Net()
        net.norm.weight.requires_grad_(False)
        return net

    net = own_network(custom_model(make_network), NormConfig(name="batch"), IMAGES, 10)
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert frozen == ["norm.weight"]
