"""What a pack cannot train rightly is refused, by name, before it is trained."""

import pytest
import torch
from torch import nn

from bnbench.norms.batch import BatchNorm
from bnbench.packing.leaves import UnpackableError
from bnbench.packing.pack import pack


class Owner(nn.Module):
    """A container with a parameter of its own."""

    def __init__(self, *, buffer: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 3)
        if buffer:
            self.register_buffer("scale", torch.ones(3))
        else:
            self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.flatten(1)) * self.scale


def tied() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 6), nn.Linear(6, 6))
    net[2].weight = net[1].weight
    return net


class Doubled(nn.Linear):
    """A subclass that computes something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout()), r"1 \(Dropout\).*no rule"),
        (lambda: nn.Sequential(nn.Sequential(nn.ConvTranspose2d(1, 2, 3))), r"0\.0 \(ConvTranspose2d\).*no rule"),
        (lambda: nn.Softmax(1), r"the network \(Softmax\).*no rule"),
        (lambda: nn.Sequential(Doubled(6, 3)), r"0 \(Doubled\).*no rule"),
        (lambda: Owner(buffer=False), "Owner.*owns parameters or buffers"),
        (lambda: Owner(buffer=True), "Owner.*owns parameters or buffers"),
        (tied, r"2\.weight and 1\.weight are one tied parameter"),
        (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
        (lambda: nn.Sequential(nn.Flatten(2)), "Flatten"),
        (lambda: nn.BatchNorm1d(3, track_running_stats=False), "without running statistics"),
    ],
)
def test_what_a_pack_cannot_train_rightly_is_refused_by_name(make, message):
    with pytest.raises(UnpackableError, match=message):
        pack([make(), make()])


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (lambda: nn.Linear(6, 4), lambda: nn.Linear(6, 5), "out_features differs"),
        (lambda: nn.Conv2d(1, 2, 3), lambda: nn.Conv2d(1, 2, 3, stride=2), "stride differs"),
        (lambda: nn.BatchNorm2d(4), lambda: nn.BatchNorm2d(4, eps=1e-3), "eps differs"),
        (
            lambda: nn.Sequential(nn.LeakyReLU(0.1)),
            lambda: nn.Sequential(nn.LeakyReLU(0.2)),
            r"LeakyReLU\.negative_slope differs",
        ),
        (lambda: nn.Sequential(nn.ELU(0.1)), lambda: nn.Sequential(nn.ELU(0.2)), r"ELU\.alpha differs"),
        (
            lambda: nn.Sequential(nn.ReLU()),
            lambda: nn.Sequential(nn.Tanh()),
            r"0 differs in kind: \['ReLU', 'Tanh'\]",
        ),
        (lambda: nn.Sequential(nn.Linear(6, 3)), lambda: Owner(buffer=False), r"the network differs in kind"),
    ],
)
def test_networks_that_differ_are_refused_by_name(one, other, message):
    with pytest.raises(UnpackableError, match=message):
        pack([one(), other()])


class Optional(nn.Module):
    """A container one of whose children may be missing."""

    def __init__(self, middle: nn.Module | None) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.middle = middle

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1))
        return x if self.middle is None else self.middle(x)


class Branching(nn.Module):
    """A container whose forward depends on a flag."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.twice = twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x.flatten(1))
        return self.layer(x) if self.twice else x


UNLIKE = {
    "bias": lambda: (nn.Sequential(nn.Linear(6, 3)), nn.Sequential(nn.Linear(6, 3, bias=False))),
    "affine": lambda: (nn.Sequential(nn.BatchNorm2d(4)), nn.Sequential(nn.BatchNorm2d(4, affine=False))),
    "own affine": lambda: (nn.Sequential(BatchNorm(4)), nn.Sequential(BatchNorm(4, affine=False))),
    "own affine second": lambda: (nn.Sequential(BatchNorm(4, affine=False)), nn.Sequential(BatchNorm(4))),
    "own eps": lambda: (nn.Sequential(BatchNorm(4)), nn.Sequential(BatchNorm(4, eps=0.1))),
    "own features": lambda: (nn.Sequential(BatchNorm(4)), nn.Sequential(BatchNorm(5))),
    "features": lambda: (nn.Sequential(nn.BatchNorm2d(4)), nn.Sequential(nn.BatchNorm2d(5))),
    "no child first": lambda: (Optional(None), Optional(nn.Linear(6, 6))),
    "no child second": lambda: (Optional(nn.ReLU()), Optional(None)),
    "one more child": lambda: (nn.Sequential(nn.Linear(6, 3)), nn.Sequential(nn.Linear(6, 3), nn.ReLU())),
    "one less child": lambda: (nn.Sequential(nn.Linear(6, 3), nn.ReLU()), nn.Sequential(nn.Linear(6, 3))),
    "flag": lambda: (Branching(twice=False), Branching(twice=True)),
}


@pytest.mark.parametrize("pair", UNLIKE)
def test_networks_of_unlike_structure_are_refused(pair):
    with pytest.raises(UnpackableError):
        pack(UNLIKE[pair]())
