"""Layers without a rule, called one by one in a pack: bit for bit what the same layer computes alone."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnbench.packing.pack import FoldedPack, pack

K, N = 4, 5
IMAGE = (2, 6, 5)


class WholeMean(nn.Module):
    """Mixes channels: subtracts the mean over all of them, by a running mean in evaluation; then a scale."""

    def __init__(self, features: int, *, replaces: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.replaces = replaces

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean() if self.training else self.mean
        if self.training and self.replaces:
            self.mean, self.steps = 0.9 * self.mean + 0.1 * mean.detach(), self.steps + 1
        elif self.training:
            self.mean.mul_(0.9).add_(0.1 * mean.detach())
            self.steps.add_(1)
        return torch.sigmoid(x - mean) * self.scale.view(-1, *[1] * (x.dim() - 2))


class Owner(nn.Module):
    """Has a parameter beside children, and writes into its input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.GroupNorm(1, features), WholeMean(features))
        self.shift = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.mul_(2)).exp() + self.shift


class Narrow(nn.Module):
    """Gives fewer channels than it gets, stored in another order than a pack stores them."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, ::2].transpose(0, -1).contiguous().transpose(0, -1)


def dense(layer: Callable[[int], nn.Module], outputs: int = 7) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(60, 7), layer(7), nn.ReLU(), nn.Linear(outputs, 3))


def convolutional(layer: Callable[[int], nn.Module], outputs: int = 6) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 6, 3), layer(6), nn.ReLU(), nn.Flatten(), nn.Linear(outputs * 12, 3))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: dense(WholeMean),
    "replacing": lambda: dense(lambda features: WholeMean(features, replaces=True)),
    "owner": lambda: dense(Owner),
    "narrow": lambda: dense(lambda features: Narrow(), 4),
    "torch's layer norm": lambda: dense(nn.LayerNorm),
    "convolutional": lambda: convolutional(WholeMean),
    "convolutional owner": lambda: convolutional(Owner),
    "convolutional narrow": lambda: convolutional(lambda features: Narrow(), 3),
    "torch's group norm": lambda: convolutional(lambda features: nn.GroupNorm(2, features)),
    "a slope a channel": lambda: convolutional(nn.PReLU),
}


def networks(make: Callable[[], nn.Module], count: int = K) -> list[nn.Module]:
    """With other weights each, in double precision."""
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        net = make().double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
        made.append(net)
    return made


def images(step: int, count: int = K, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, N, *IMAGE, generator=torch.Generator().manual_seed(step), dtype=dtype)


def train(packed: FoldedPack, batch: Tensor) -> Tensor:
    """A step of gradient descent, and the logits (K, classes, N)."""
    logits = packed.train()(packed.fold(batch, batch.dtype))
    packed.zero_grad()
    logits.square().sum().backward()
    with torch.no_grad():
        for parameter in packed.parameters():
            parameter.sub_(0.01 * parameter.grad)
    return logits.detach()


def evaluated(packed: FoldedPack, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return packed.eval()(packed.fold(batch, batch.dtype))


@pytest.mark.parametrize("name", LAYERS)
def test_a_network_with_such_a_layer_trains_as_alone(name: str) -> None:
    nets = networks(LAYERS[name])
    packed = pack(copy.deepcopy(nets))
    slots = [*nets, *(copy.deepcopy(nets[-1]) for _ in range(packed.slots - K))]
    batches = [torch.cat([images(step), images(step)[-1:].expand(len(slots) - K, N, *IMAGE)]) for step in range(3)]
    for batch in batches[:2]:
        logits = train(packed, batch)
        for slot, net in enumerate(slots):
            expected = net.train()(batch[slot].clone())
            net.zero_grad()
            expected.square().sum().backward()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.sub_(0.01 * parameter.grad)
            torch.testing.assert_close(logits[slot].t(), expected, rtol=1e-11, atol=1e-11)
    logits = evaluated(packed, batches[2])
    for slot, net in enumerate(slots):
        with torch.no_grad():
            torch.testing.assert_close(logits[slot].t(), net.eval()(batches[2][slot].clone()), rtol=1e-11, atol=1e-11)
        state = net.state_dict()
        assert list(packed.slot_state(slot)) == list(state)
        for key, value in packed.slot_state(slot).items():
            torch.testing.assert_close(value, state[key], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", LAYERS)
def test_its_bits_depend_on_neither_slot_nor_neighbours(name: str) -> None:
    nets = [net.float() for net in networks(LAYERS[name], 16)]
    batches = [images(step, 16, torch.float32) for step in range(3)]

    def numbers(which: list[int]) -> dict[int, list[Tensor]]:
        packed = pack([copy.deepcopy(nets[i]) for i in which])
        padded = [*which, *which[-1:] * (packed.slots - len(which))]
        logits = [train(packed, batch[padded]) for batch in batches[:2]]
        logits.append(evaluated(packed, batches[2][padded]))
        return {
            i: [*(each[slot] for each in logits), *packed.slot_state(slot).values()] for slot, i in enumerate(which)
        }

    expected = numbers([*range(16)])
    for which in ([3], [5, 3, 1], [*range(15, -1, -1)]):
        for i, values in numbers(which).items():
            assert all(map(torch.equal, values, expected[i])), f"{i} of {which}"


def test_the_layers_of_slots_that_stay_go_on() -> None:
    nets = networks(LAYERS["owner"])
    for slot, net in enumerate(nets):
        net[2].inner[1].register_forward_hook(lambda module, inputs, output, slot=slot: output * slot)
    packed = pack(nets)
    packed.select([2, 0, 2])
    logits = evaluated(packed, images(0)[[2, 0, 2]])
    for slot, net in enumerate([nets[2], nets[0], nets[2]]):
        with torch.no_grad():
            expected = net.eval()(images(0)[[2, 0, 2]][slot])
        torch.testing.assert_close(logits[slot].t(), expected, rtol=1e-11, atol=1e-11)


def test_what_a_neighbour_makes_of_nan_stays_there() -> None:
    nets = networks(LAYERS["convolutional"])
    packed = pack(nets)
    batch = images(0, packed.slots)
    clean = train(pack(copy.deepcopy(nets)), batch)
    batch[1] = torch.nan
    logits = train(packed, batch)
    assert logits[1].isnan().all()
    assert torch.equal(logits[[0, 2, 3]], clean[[0, 2, 3]])
    assert all(value[[0, 2, 3]].isfinite().all() for value in packed.net.state_dict().values())


class Watching(nn.Module):
    """Notes how the tensors that it gets are stored."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.register_buffer("shift", torch.zeros(features))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += [x, self.scale, self.shift]
        y = x * self.scale.view(-1, *[1] * (x.dim() - 2)) + self.shift.view(-1, *[1] * (x.dim() - 2))
        y.register_hook(self.seen.append)
        return y * 2


@pytest.mark.parametrize("examples", [1, N])
@pytest.mark.parametrize("make", [dense, convolutional])
def test_it_gets_tensors_of_its_own_stored_as_alone(make: Callable[..., nn.Module], examples: int) -> None:
    nets = networks(lambda: make(Watching))
    watching = [next(module for module in net.modules() if isinstance(module, Watching)) for net in nets]
    packed = pack(nets)
    train(packed, images(0, packed.slots)[:, :examples])
    assert len(watching[0].seen) == 4
    assert all(x.is_contiguous() and x.storage_offset() == 0 for each in watching for x in each.seen)
