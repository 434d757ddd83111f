"""Networks, norms and images of one's own are trained in packs where that changes no bit, and else alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnbench.config import DataConfig, OptimizerConfig, Trial
from bnbench.data import ImageData, load_own
from bnbench.optimizers.per_trial import make_optimizer
from bnbench.packing.lone import LonePack
from bnbench.packing.packability import packability, reason_against_packs
from bnbench.packing.partition import partition
from bnbench.training.fit import fit

_NETWORK = ("model.name=custom", "model.depth=2", "model.width=6", "data.name=digits")
RESIDUAL = (*_NETWORK, "model.factory=bnbench.examples.network:residual", "norm.name=batch")
DENSE = (*_NETWORK, "model.factory=bnbench.examples.network:dense", "norm.name=batch")
MAX_NORM = ("norm.name=custom", "norm.factory=bnbench.examples.norm:max_norm", "model.width=9", "data.name=digits")
TWO_NORMS = ("norm.name=custom", "norm.factory=bnbench.examples.norm:two_norms", "model.width=9", "data.name=digits")
STRIPES = ("data.name=custom", "data.factory=bnbench.examples.images:stripes")
STEPS = ("training.steps=6", "training.batch_size=9", "optimizer.lr=0.05")


@pytest.fixture
def trials_of(trial_of: Callable[..., Trial]) -> Callable[..., list[Trial]]:
    def make(*overrides: str, count: int = 5) -> list[Trial]:
        return [trial_of(*overrides, *STEPS, f"seed={seed}") for seed in range(count)]

    return make


def numbers(results) -> list[tuple]:
    return [(r.status, r.metrics, r.curves) for r in results]


@pytest.mark.parametrize("overrides", [RESIDUAL, MAX_NORM, TWO_NORMS], ids=["network", "norm", "norm without a rule"])
def test_what_keeps_trials_apart_has_the_same_bits_in_every_slot(overrides, trials_of, images_of) -> None:
    data, trials = images_of(1, 8, 8), trials_of(*overrides)
    assert packability(trials[0]).why_alone is None
    assert len(partition(trials)) == 1
    expected = numbers(fit(trials, data))
    assert {status for status, *_ in expected} == {"finished"}
    for order in ([4, 3, 2, 1, 0], [1, 3], [2]):
        assert numbers(fit([trials[i] for i in order], data)) == [expected[i] for i in order]


def test_what_does_not_is_trained_alone_and_says_why(trials_of, images_of) -> None:
    trials = trials_of(*DENSE, count=3)
    reason = packability(trials[0]).why_alone
    assert reason is not None
    assert "it does not compute what it does alone: its forward mixes channels" in reason
    assert [len(pack) for pack in partition(trials, alone={trial.key for trial in trials})] == [1, 1, 1]
    data = images_of(1, 8, 8)
    first, again, other = (numbers(fit([trials[i]], data, alone=True))[0] for i in (0, 0, 1))
    assert first[0] == "finished"
    assert first == again != other


class Functional(nn.Module):
    """A network whose forward is `mix`, between two linear layers."""

    def __init__(self, mix: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.first, self.head = nn.Linear(64, 37), nn.Linear(37, 10)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.first(self.flatten(x))))


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        (torch.relu, None),
        (lambda x: x - x.mean(), "mixes channels"),
        (lambda x: x.softmax(1), "mixes channels"),
        (lambda x: torch.stack(x.chunk(1, 1))[0] * x[:, :1], "mixes channels"),
        (lambda x: F.dropout(x, 0.5, training=True), "draws numbers itself"),
        (lambda x: x.view(-1, 37), "fails in a pack"),
        # Their last values round otherwise; of silu_ in place, the slope does too.
        (torch.sigmoid, "numbers depend on what else is in a pack: its forward calls sigmoid"),
        (lambda x: F.silu(x, inplace=True), "numbers depend on what else is in a pack: its forward calls silu"),
        (lambda x: x.clamp(-1, 1).abs().sqrt().mul(2), None),
    ],
    ids=["relu", "mean", "softmax", "first channel", "dropout", "view", "sigmoid", "silu", "several"],
)
def test_functions_in_a_forward_are_tried_out(mix, said, trial_of, monkeypatch) -> None:
    monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *args: Functional(mix))
    trial = trial_of("model.name=custom", "model.factory=here:made", *STEPS)
    reason = reason_against_packs(trial, (1, 8, 8), 10)
    assert (reason is None) == (said is None)
    assert said is None or said in str(reason)


class Dense(nn.Module):
    """Concatenation, batch norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 36, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(torch.cat([self.conv(x), x[:, :, 1:-1, 1:-1]], 1)).flatten(1))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_a_lone_network_trains_as_in_plain_torch(name: str) -> None:
    torch.manual_seed(0)
    net = Dense().double()
    plain = Dense().double()
    plain.load_state_dict(net.state_dict())
    lone = LonePack(net, seed=0)
    lr, momentum = 0.05, 0.9 if name == "momentum" else 0.0
    ours = make_optimizer(lone.parameters(), [OptimizerConfig(name=name, lr=lr, momentum=0.9)])
    theirs = (
        torch.optim.Adam(plain.parameters(), lr)
        if name == "adam"
        else torch.optim.SGD(plain.parameters(), lr, momentum)
    )
    for step in range(4):
        g = torch.Generator().manual_seed(step)
        images, weights = torch.randn(1, 7, 1, 8, 8, generator=g).double(), torch.randn(7, 5, generator=g).double()
        logits = lone(lone.fold(images, torch.float64))
        assert logits.shape == (1, 5, 7)
        ours.zero_grad()
        (logits[0].t() * weights).sum().backward()
        ours.step()
        theirs.zero_grad()
        (plain(images[0]) * weights).sum().backward()
        theirs.step()
    state = plain.state_dict()
    assert [*lone.slot_state(0)] == [*state]
    for key, value in lone.slot_state(0).items():
        torch.testing.assert_close(value, state[key], rtol=1e-9, atol=1e-12)
    assert lone.sizes()[0] == sum(p.numel() for p in plain.parameters())
    evaluated = lone.eval()(lone.fold(images, torch.float64))[0].t()
    torch.testing.assert_close(evaluated, plain.eval()(images[0]), rtol=1e-9, atol=1e-12)


def test_what_a_lone_forward_draws_depends_on_its_seed_and_step_alone() -> None:
    x = torch.rand(1, 5, 1, 8, 8)

    def first_two(seed: int) -> list[Tensor]:
        torch.manual_seed(0)
        lone = LonePack(Functional(lambda y: F.dropout(y, 0.5)), seed)
        torch.rand(seed + 3)
        return [lone(lone.fold(x, torch.float32)).detach() for _ in range(2)]

    one, again, other = first_two(1), first_two(1), first_two(2)
    assert all(map(torch.equal, one, again))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], other[0])


class Killed(BaseException):
    """Stands for whatever ends a process."""


def test_a_lone_network_goes_on_to_the_same_bits(trial_of, images_of, tmp_path: Path) -> None:
    data = images_of(1, 8, 8)
    grid = ("training.eval_grid=linear", "training.eval_every=2", "training.checkpoint_every=2")
    trial = trial_of(*DENSE, *STEPS, *grid, "optimizer.name=adam", "optimizer.lr=0.01")
    whole = numbers(fit([trial], data, alone=True))

    def kill(steps: int, diverged: int) -> None:
        if steps >= 4:
            raise Killed

    with pytest.raises(Killed):
        fit([trial], data, alone=True, report=kill, checkpoints=tmp_path)
    heard: list[int] = []
    again = fit([trial], data, alone=True, report=lambda steps, diverged: heard.append(steps), checkpoints=tmp_path)
    assert numbers(again) == whole
    assert heard[0] > 2, "it was trained from the start"


_BY_HAND = """
import random
import numpy as np
import torch
from torch import nn


class ByHand(nn.Module):
    def __init__(self, features, momentum):
        super().__init__()
        self.weight, self.momentum = nn.Parameter(torch.ones(features)), momentum
        self.register_buffer("mean", torch.zeros(features))
        self.variance = torch.ones(features)
        self.batches = 0

    def forward(self, x):
        if self.training:
            mean, var = x.mean(0), x.var(0, unbiased=False)
            self.batches += 1
            share = max(self.momentum, 1 / self.batches)
            self.mean = (1 - share) * self.mean + share * mean.detach()
            self.variance = (1 - share) * self.variance + share * var.detach()
        else:
            mean, var = self.mean, self.variance
        return self.weight * (x - mean) / (var + 1e-5).sqrt()


class Noisy(ByHand):
    def forward(self, x):
        noise = torch.rand(1) + np.random.rand() + random.random()  # while evaluating too
        return super().forward(x * (1 + 0.1 * noise))


def by_hand(features, norm):
    return ByHand(features, norm.momentum)


def noisy(features, norm):
    return Noisy(features, norm.momentum)
"""


@pytest.mark.parametrize("name", ["by_hand", "noisy"])
def test_a_norm_written_by_hand_goes_on_to_the_same_bits(name, trial_of, images_of, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "norms_by_hand.py").write_text(_BY_HAND)
    data = images_of(1, 8, 8)
    grid = ("training.eval_grid=linear", "training.eval_every=2", "training.checkpoint_every=2", "data.name=digits")
    own = ("norm.name=custom", f"norm.factory=norms_by_hand:{name}", "norm.momentum=0.01", "model.width=9")
    trial = trial_of(*own, "training.steps=8", "training.batch_size=9", "optimizer.lr=0.05", *grid)
    whole = numbers(fit([trial], data, alone=True))
    assert numbers(fit([trial], data, alone=True)) == whole

    def kill(steps: int, diverged: int) -> None:
        if steps >= 4:
            raise Killed

    with pytest.raises(Killed):
        fit([trial], data, alone=True, report=kill, checkpoints=tmp_path)
    heard: list[int] = []
    again = fit([trial], data, alone=True, report=lambda steps, diverged: heard.append(steps), checkpoints=tmp_path)
    assert heard[0] > 2, "it was trained from the start"
    assert numbers(again) == whole


def test_what_was_decided_is_how_it_is_trained(trial_of, images_of) -> None:
    trial, data = trial_of(*RESIDUAL, *STEPS), images_of(1, 8, 8)
    for alone, said in ((False, "false"), (True, "true")):
        [result] = fit([trial], data, alone=alone)
        assert result.tags["bnbench.alone"] == said


def test_images_of_one_s_own_are_trained_on(trial_of) -> None:
    data: ImageData = load_own(DataConfig(name="custom", factory="bnbench.examples.images:stripes"))
    trial = trial_of(*STRIPES, "norm.name=batch", "training.steps=60", "optimizer.lr=0.2", train_size=840)
    [result] = fit([trial], data)
    assert result.metrics["test/acc"] > 0.9


def test_the_model_section_reaches_the_function(trial_of, images_of) -> None:
    small, large = (
        fit([trial_of(*RESIDUAL, *STEPS, f"model.width={width}")], images_of(1, 8, 8))[0] for width in (2, 4)
    )
    assert small.metrics["parameters/trainable"] < large.metrics["parameters/trainable"]
