"""What networks of one's own do beside computing is found before they are trained, kept, or refused by name."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from bnbench.config import ConfigError, Trial, schema
from bnbench.models.own import survey
from bnbench.packing.lone import LonePack
from bnbench.packing.packability import packability
from bnbench.packing.rehearsal import Rehearsal, rehearse
from bnbench.tensors.seeding import generator_states

IMAGES = (1, 8, 8)
CHECKPOINTS = "training.checkpoint_every=2"

Change = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Linear, `change`, linear; it has a buffer and some plain attributes for `change` to use."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, 12), nn.Linear(12, 10)
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("later", None)
        self.count = 0
        self.tensor = torch.zeros(12)
        self.list: list[Any] = [0.0]
        self.dict = {"count": 0}
        self.deque: Any = deque([0.0], maxlen=3)
        self.generator: Any = torch.Generator().manual_seed(0)
        self.numpy: Any = np.random.default_rng(0)
        self.modules_again = [self.first, self.head]
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.change(self, self.first(x.flatten(1))).relu())


@pytest.fixture
def trial_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial]:
    """The trial of a network with this change."""

    def make(change: Change, *overrides: str) -> Trial:
        monkeypatch.setattr("bnbench.models.own.custom_network._surveys", {})
        monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *args: Net(change))
        words = [
            "model.name=custom",
            "model.factory=here:made",
            "data.name=digits",
            "training.batch_size=9",
            *overrides,
        ]
        config: Any = OmegaConf.to_object(OmegaConf.merge(schema(), OmegaConf.from_dotlist(words)))
        return Trial.from_config(config, train_size=84, data_checksum="")

    return make


def blend(net: Net, x: Tensor) -> Tensor:
    """A running mean, blended by assignment."""
    if net.training:
        net.mean = 0.9 * net.mean + 0.1 * x.detach().mean(0)
    return x - net.mean


def blend_in_place(net: Net, x: Tensor) -> Tensor:
    if net.training:
        net.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
    return x - net.mean


def blend_attribute(net: Net, x: Tensor) -> Tensor:
    if net.training:
        net.tensor = 0.9 * net.tensor + 0.1 * x.detach().mean(0)
    return x - net.tensor


def blend_later(net: Net, x: Tensor) -> Tensor:
    """A buffer that is None until the first step."""
    if net.training:
        net.later = x.detach().mean(0) if net.later is None else 0.9 * net.later + 0.1 * x.detach().mean(0)
    return x - net.later


def count(net: Net, x: Tensor) -> Tensor:
    net.count += net.training
    return x * (1 + net.count)


def count_in_list(net: Net, x: Tensor) -> Tensor:
    if net.training:
        net.list.append(float(x.detach().mean()))
    return x * (1 + sum(net.list))


def count_in_dict(net: Net, x: Tensor) -> Tensor:
    net.dict["count"] += net.training
    return x * (1 + net.dict["count"])


KEPT = {
    "buffer in place": (blend_in_place, ()),
    "buffer": (blend, ()),
    "tensor": (blend_attribute, ("tensor",)),
    "late buffer": (blend_later, ("later",)),
    "counter": (count, ("count",)),
    "list": (count_in_list, ("list",)),
    "dict": (count_in_dict, ("dict",)),
}


@pytest.mark.parametrize(("change", "names"), KEPT.values(), ids=KEPT)
def test_plain_data_that_a_step_changes_are_kept_with_a_checkpoint(change, names, trial_with) -> None:
    found = rehearse(trial_with(change, CHECKPOINTS), IMAGES, 10)
    assert found == Rehearsal(False, False, (), changed_attributes=names, unsaveable=())


@pytest.mark.parametrize(("change", "names"), KEPT.values(), ids=KEPT)
def test_what_a_pack_would_share_or_lose_is_trained_alone(change, names, trial_with) -> None:
    reason = packability(trial_with(change)).why_alone
    assert reason is not None
    assert not names or reason == f"a step changes {names[0]}, which is no buffer"


def test_a_buffer_that_is_assigned_is_a_part_of_the_state() -> None:
    lone = LonePack(Net(blend), 0)
    [net] = lone._net_in_list
    for _ in range(2):
        lone.train()(torch.rand(9, *IMAGES))
        assert torch.equal(lone.slot_state(0)["mean"], net.mean)
        assert net.mean.any()


def in_deque(net: Net, x: Tensor) -> Tensor:
    if net.training:
        net.deque.append(float(x.detach().mean()))
    return x + sum(net.deque)


def in_generator(net: Net, x: Tensor) -> Tensor:
    return x + torch.rand(12, generator=net.generator) if net.training else x


def in_numpy(net: Net, x: Tensor) -> Tensor:
    return x + net.numpy.random() if net.training else x


@pytest.mark.parametrize(
    ("change", "said"),
    [(in_deque, "deque (deque)"), (in_generator, "generator (Generator)"), (in_numpy, "numpy (Generator)")],
)
def test_what_no_checkpoint_can_hold_is_refused_where_there_are_checkpoints(change, said, trial_with) -> None:
    assert rehearse(trial_with(change), IMAGES, 10).unsaveable == (said,)
    with pytest.raises(ConfigError) as caught:
        packability(trial_with(change, CHECKPOINTS))
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"model.factory=here:made: a step changes {said}, which a checkpoint cannot hold")


_calls = [0]


def count_in_the_file(net: Net, x: Tensor) -> Tensor:
    _calls[0] += net.training
    return x * (1 + _calls[0])


def count_in_a_closure() -> Change:
    made: dict[int, int] = {}

    def change(net: Net, x: Tensor) -> Tensor:
        made[id(net)] = made.get(id(net), 0) + net.training
        return x * (1 + made[id(net)])

    return change


def test_a_counter_beside_the_network_is_refused(trial_with) -> None:
    with pytest.raises(ConfigError, match="the first step from the same start gives other numbers the second time"):
        rehearse(trial_with(count_in_the_file), IMAGES, 10)


def test_what_is_counted_for_each_network_beside_it_is_lost_with_a_checkpoint(trial_with) -> None:
    change = count_in_a_closure()
    assert rehearse(trial_with(change), IMAGES, 10).unsaveable == ("something beside its modules",)
    with pytest.raises(ConfigError, match="something beside its modules, which a checkpoint cannot hold"):
        rehearse(trial_with(change, CHECKPOINTS), IMAGES, 10)


def test_a_parameter_that_is_used_by_another_way_than_its_name_is_refused(trial_with, monkeypatch) -> None:
    trial = trial_with(blend)

    class Listed(Net):
        def __init__(self) -> None:
            super().__init__(lambda net, x: F.linear(x, net.list[0]))
            self.square = nn.Parameter(torch.eye(12))
            self.list = [self.square]

    monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *args: Listed())
    with pytest.raises(ConfigError, match="reaches parameters or buffers by another way than by their names"):
        rehearse(trial, IMAGES, 10)


def rarely(net: Net, x: Tensor) -> Tensor:
    return -x if net.training and random.random() < 1e-9 else x


DRAWS = {
    "dropout": (lambda net, x: F.dropout(x, 0.5, net.training), (True, False)),
    "dropout always": (lambda net, x: F.dropout(x, 0.5), (True, True)),
    "noise evaluating": (lambda net, x: x if net.training else x + torch.randn(12), (False, True)),
    "Python's": (rarely, (True, False)),
    "NumPy's": (lambda net, x: x + np.random.rand(), (True, True)),
    "none": (lambda net, x: x, (False, False)),
    "its own stream": (lambda net, x: x + torch.rand(12, generator=torch.Generator().manual_seed(1)), (False, False)),
}


@pytest.mark.parametrize(("change", "draws"), DRAWS.values(), ids=DRAWS)
def test_draws_from_global_generators_are_found_however_rare_and_leave_them_alone(change, draws, trial_with) -> None:
    trial = trial_with(change)
    before = generator_states()
    found = rehearse(trial, IMAGES, 10)
    assert generator_states() == before
    assert (found.draws, found.draws_evaluating) == draws
    if any(draws):
        assert packability(trial).why_alone == "its forward draws random numbers itself"


@pytest.mark.parametrize("change", [change for change, draws in DRAWS.values() if any(draws)])
def test_what_a_lone_network_draws_depends_on_seed_step_and_pass_alone(change) -> None:
    x = torch.rand(1, 5, *IMAGES)

    def outputs(seed: int, *, passes: int) -> list[Tensor]:
        torch.manual_seed(3)
        lone = LonePack(Net(change), seed)
        torch.rand(seed + passes), np.random.rand(), random.random()
        lone.eval()
        found = []
        with torch.no_grad():
            found.append(lone(lone.fold(x, torch.float32)))
            for _ in range(2):
                lone.train()
                found.append(lone(lone.fold(x, torch.float32)))
                lone.eval()
                found += [lone(lone.fold(x, torch.float32)) for _ in range(2)]
                [lone(lone.fold(x, torch.float32)) for _ in range(passes)]
        return found

    one, again = outputs(1, passes=0), outputs(1, passes=3)
    assert all(map(torch.equal, one, again)), "evaluations more or less change the next step's draws"
    if change is DRAWS["dropout always"][0]:
        assert len({tuple(logits.flatten().tolist()) for logits in [*one, *outputs(2, passes=0)]}) == 14


def test_buffers_that_evaluations_change_are_named(trial_with) -> None:
    def always(net: Net, x: Tensor) -> Tensor:
        net.mean = 0.9 * net.mean + 0.1 * x.detach().mean(0)
        return x - net.mean

    assert rehearse(trial_with(always), IMAGES, 10).buffers_changed_evaluating == ("mean",)


def test_a_step_that_fails_says_so_in_one_line(trial_with) -> None:
    def fail(net: Net, x: Tensor) -> Tensor:
        if net.training:
            raise ValueError("no\nstep")
        return x

    with pytest.raises(ConfigError) as caught:
        rehearse(trial_with(fail), IMAGES, 10)
    assert str(caught.value) == "model.factory=here:made: a training step on 8 images fails: ValueError: no step"


class Noting(nn.Module):
    """A network that can be packed and notes on how many threads it runs."""

    def __init__(self, threads: set[int]) -> None:
        super().__init__()
        self.flatten, self.head = nn.Flatten(), nn.Linear(64, 10)
        self.note = lambda count: threads.add(count)

    def forward(self, x: Tensor) -> Tensor:
        self.note(torch.get_num_threads())
        return self.head(self.flatten(x))


def test_whether_networks_are_packed_is_found_on_one_thread_wherever_it_is_asked(trial_with, monkeypatch) -> None:
    threads: set[int] = set()
    trial = trial_with(blend)
    monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *args: Noting(threads))
    survey(trial.model, IMAGES, 10)  # which decides nothing of this
    before = torch.get_num_threads()
    try:
        for used in (3, 2):
            torch.set_num_threads(used)
            threads.clear()
            assert packability(trial).why_alone is None
            assert threads == {1}
            assert torch.get_num_threads() == used
    finally:
        torch.set_num_threads(before)


class Centred(nn.Module):
    """Mixes channels between two layers, whose values are all zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.first, self.head = nn.Flatten(), nn.Linear(64, 12), nn.Linear(12, 10)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.flatten(x))
        return self.head((x - x.mean(1, keepdim=True)).relu())


def test_weights_of_zero_do_not_hide_that_a_forward_mixes_channels(trial_with, monkeypatch) -> None:
    trial = trial_with(blend, "model.init=own")
    monkeypatch.setattr("bnbench.models.own.make_network.factory", lambda key, name: lambda *args: Centred())
    reason = packability(trial).why_alone
    assert reason is not None
    assert "mixes channels" in reason
