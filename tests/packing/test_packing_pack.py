"""A pack of networks, judged by the same networks run one by one in plain torch, in double precision."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bnbench.config import (
    Config,
    LogitsNorm,
    ModelConfig,
    NormConfig,
    Padding,
    Placement,
    Precision,
    Statistics,
    TrainingConfig,
    Trial,
)
from bnbench.models import build_model
from bnbench.norms import NORMS
from bnbench.norms.batch import BatchNorm
from bnbench.norms.channel_norm import ChannelNorm
from bnbench.packing.leaves import UnpackableError
from bnbench.packing.pack import Pack, pack
from bnbench.tensors.memory_layout import Layout


def randomize(net: nn.Module, seed: int) -> nn.Module:
    """Double precision, with random parameters, and statistics that are positive, as variances are."""
    g = torch.Generator().manual_seed(seed)
    net = net.double()
    with torch.no_grad():
        statistics = {name for name, _ in net.named_buffers()}
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=g, dtype=torch.float64) / 2)
                if name in statistics:
                    value.abs_().add_(0.5)
    return net


def images(K: int, N: int, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(K, N, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_pack_is_its_networks(nets: list[nn.Module], shape: tuple[int, int, int], N: int = 5) -> None:
    """Outputs, gradients and running statistics of two training steps, then outputs in evaluation."""
    packed = pack(nets)
    lone = [copy.deepcopy(nets[min(slot, len(nets) - 1)]) for slot in range(packed.slots)]
    for seed in range(2):
        batch = images(packed.slots, N, shape, seed)
        y = packed(packed.fold(batch, torch.float64))
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        packed.zero_grad()
        (y * weight).sum().backward()
        for slot, net in enumerate(lone):
            net.zero_grad()
            expected = net(batch[slot])
            (expected * weight[slot].t()).sum().backward()
            assert_equal(y[slot].t(), expected, "output")
            for name, p in net.named_parameters():
                assert_equal(packed.net.get_parameter(name).grad[slot], p.grad, f"gradient of {name}")
    packed.eval()
    y = packed(packed.fold(batch, torch.float64))
    for slot, net in enumerate(lone):
        assert_equal(y[slot].t(), net.eval()(batch[slot]), "evaluation")
        state = net.state_dict()
        for name, value in packed.slot_state(slot).items():
            assert_equal(value, state[name], name)
        tracked = [name for name in state if not name.endswith("num_batches_tracked")]
        assert list(packed.slot_state(slot)) == tracked


def assert_equal(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12, msg=lambda text: f"{what}: {text}")


class Residual(nn.Module):
    """A network with functions written in its forward."""

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels, momentum=momentum)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels, momentum=momentum)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm1(self.stem(x)))
        x = torch.relu(x + self.norm2(self.conv(x)))
        return self.head(self.flatten(self.pool(x)))


def sequential(momentum: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2, dilation=1),
        nn.BatchNorm2d(6, momentum=momentum, eps=1e-3),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 3, (3, 1), padding=(1, 0), bias=False),
        nn.SiLU(),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(3 * 2 * 2, 5, bias=False),
        nn.BatchNorm1d(5, momentum=momentum, affine=False),
        nn.GELU(),
        nn.Linear(5, 4),
    )


MOMENTA = [0.1, 0.5, 0.0, 1.0, 0.01]


@pytest.mark.parametrize("K", [1, 2, 3, 5])
@pytest.mark.parametrize("make", [sequential, lambda m: Residual(3, m), lambda m: Residual(4, m)])
def test_a_pack_of_torchs_own_layers_is_its_networks(make: Callable[[float], nn.Module], K):
    nets = [randomize(make(MOMENTA[k]), seed=k) for k in range(K)]
    assert_pack_is_its_networks(nets, (2, 6, 6)) if isinstance(nets[0], Residual) else assert_pack_is_its_networks(
        nets, (2, 5, 5)
    )


ELEMENTWISE = [
    nn.Identity(),
    nn.ReLU(),
    nn.LeakyReLU(0.3),
    nn.Tanh(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.Sigmoid(),
    nn.ELU(0.7),
    nn.SiLU(),
    nn.Softplus(2.0),
]


@pytest.mark.parametrize("leaf", ELEMENTWISE, ids=repr)
@pytest.mark.parametrize("K", [1, 3])
def test_every_activation_is_itself_in_a_pack(leaf, K):
    def dense():
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 7), copy.deepcopy(leaf), nn.Linear(7, 3))

    def convolutional():
        return nn.Sequential(nn.Conv2d(1, 3, 2), copy.deepcopy(leaf), nn.Flatten(), nn.Linear(6, 3))

    for make in (dense, convolutional):
        assert_pack_is_its_networks([randomize(make(), k) for k in range(K)], (1, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("leaf", ELEMENTWISE, ids=repr)
def test_an_activation_and_its_slope_have_the_same_bits_wherever_a_value_lies(leaf, dtype):
    values = 3 * torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=dtype)
    net = pack([nn.Sequential(copy.deepcopy(leaf)) for _ in range(2)]).net
    expected = outputs_and_slopes(net, values[None].expand(2, 64).t().contiguous().t())
    for N in (1, 2, 3, 7, 60, 64, 65):
        for features in (2, 6, 10, 33, 64):
            which = (torch.arange(N * features) * 5 + N) % 64
            rows = values[which].view(features, N).t()  # feature-major
            maps = values[which].view(N, 1, 1, features).permute(0, 3, 1, 2)  # channels_last
            for x, at in ((rows, which.view(features, N).t()), (maps, which.view(N, features)[:, :, None, None])):
                for value, alone in zip(outputs_and_slopes(net, x), expected, strict=True):
                    assert torch.equal(value, alone[0][at]), (N, features)


def outputs_and_slopes(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.detach().requires_grad_()
    y = net(x)
    return [y.detach(), torch.autograd.grad(y, x, torch.ones_like(y))[0]]


@pytest.mark.parametrize("leaf", [nn.ELU(inplace=True), nn.SiLU(inplace=True), nn.ReLU(inplace=True)], ids=repr)
def test_an_inplace_activation_is_itself_in_a_pack_or_refused(leaf):
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(6, 7), copy.deepcopy(leaf), nn.Linear(7, 3))

    nets = [randomize(make(), k) for k in range(3)]
    try:
        pack(nets)
    except UnpackableError:
        return
    assert_pack_is_its_networks(nets, (1, 2, 3))


class Cropping(nn.Module):
    """A network that activates a part of a map, which is a view with holes."""

    def __init__(self, leaf: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2)
        self.activation = leaf
        self.flatten = nn.Flatten()
        self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.flatten(self.activation(self.conv(x)[:, :, 1:, 1:3])))


@pytest.mark.parametrize("leaf", ELEMENTWISE, ids=repr)
def test_an_activation_of_a_part_of_a_map_is_itself_in_a_pack(leaf):
    nets = [randomize(Cropping(copy.deepcopy(leaf)), k) for k in range(3)]
    assert_pack_is_its_networks(nets, (1, 4, 5))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d((2, 1))], ids=repr)
def test_every_pooling_is_itself_in_a_pack(pool):
    def make():
        return nn.Sequential(
            nn.Conv2d(1, 3, 2), copy.deepcopy(pool), nn.Conv2d(3, 2, 1), nn.Flatten(), nn.LazyLinear(3)
        )

    nets = [make() for _ in range(3)]
    for net in nets:
        net(torch.zeros(1, 1, 6, 5))
    assert_pack_is_its_networks([randomize(net, k) for k, net in enumerate(nets)], (1, 6, 5))


NORM_SHAPES = [(6, 3), (5, 3, 2, 4), (5, 3, 1, 1), (1, 3, 2, 2)]


def norms(shape: tuple[int, ...], *, own: bool, affine: bool, eps: float = 1e-3) -> list[nn.Module]:
    kind = BatchNorm if own else nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    made = [kind(shape[1], momentum=m, eps=eps, affine=affine) for m in MOMENTA]
    return [randomize(norm, seed) for seed, norm in enumerate(made)]


def fold(norms: list[nn.Module]) -> ChannelNorm:
    """One norm for all, as a pack makes it."""
    return pack([nn.Sequential(norm) for norm in norms]).net[0]


def folded(shape: tuple[int, ...], seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """One input a trial, and all as a pack stores them."""
    g = torch.Generator().manual_seed(seed)
    lone = [torch.randn(shape, generator=g, dtype=torch.float64) for _ in MOMENTA]
    x = torch.cat(lone, 1)
    return lone, x.t().contiguous().t() if x.dim() == 2 else x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("own", [True, False], ids=["bnbench", "torch"])
@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_folded_batch_norm_gives_each_slot_its_own_momentum(shape, own, affine):
    lone = norms(shape, own=own, affine=affine)
    pack_norm = fold(lone)
    for seed in range(3):
        xs, x = folded(shape, seed)
        y = pack_norm(x)
        expected = [norm(each) for norm, each in zip(lone, xs, strict=True)]
        assert_equal(y, torch.cat(expected, 1), "output")
    for k, norm in enumerate(lone):
        assert_equal(pack_norm.running_mean[k], norm.running_mean, f"running mean of slot {k}")
        assert_equal(pack_norm.running_var[k], norm.running_var, f"running variance of slot {k}")
        norm.eval()
    assert_equal(pack_norm.eval()(x), torch.cat([n(each) for n, each in zip(lone, xs, strict=True)], 1), "evaluation")


@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_a_cumulative_average_of_torchs_is_kept_for_each_slot(shape):
    lone = norms(shape, own=False, affine=True)
    for norm in lone:
        norm.momentum = None
    pack_norm = fold(lone)
    for seed in range(3):
        xs, x = folded(shape, seed)
        pack_norm(x)
        for norm, each in zip(lone, xs, strict=True):
            norm(each)
    for k, norm in enumerate(lone):
        assert_equal(pack_norm.running_mean[k], norm.running_mean, f"running mean of slot {k}")
        assert_equal(pack_norm.running_var[k], norm.running_var, f"running variance of slot {k}")


@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_batch_statistics_normalize_as_in_training_and_leave_the_running_ones_alone(shape):
    lone = norms(shape, own=True, affine=True)
    pack_norm = fold(lone).eval()
    before = {name: value.clone() for name, value in pack_norm.state_dict().items()}
    xs, x = folded(shape, 0)
    pack_norm.statistics = Statistics.batch
    assert_equal(pack_norm(x), torch.cat([norm(each) for norm, each in zip(lone, xs, strict=True)], 1), "output")
    assert all(torch.equal(value, before[name]) for name, value in pack_norm.state_dict().items())
    pack_norm.statistics = Statistics.running
    expected = torch.cat(
        [norm.eval()(each) for norm, each in zip(norms(shape, own=True, affine=True), xs, strict=True)], 1
    )
    assert_equal(pack_norm(x), expected, "under running statistics again")


@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_an_evaluation_that_overflows_leaves_no_trace_in_training(shape):
    lone = norms(shape, own=True, affine=True)
    pack_norm = fold(lone)
    _, x = folded(shape, 0)
    pack_norm.eval().statistics = Statistics.batch
    pack_norm(torch.full_like(x, torch.inf))
    xs, x = folded(shape, 1)
    y = pack_norm.train()(x)
    assert_equal(y, torch.cat([norm(each) for norm, each in zip(lone, xs, strict=True)], 1), "output")
    for k, norm in enumerate(lone):
        assert_equal(pack_norm.running_mean[k], norm.running_mean, f"running mean of slot {k}")
        assert_equal(pack_norm.running_var[k], norm.running_var, f"running variance of slot {k}")


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_a_single_value_a_channel_is_the_same_constant_in_a_pack(shape, affine):
    lone = norms(shape, own=True, affine=affine)
    for norm in lone:
        norm.constant = True
    pack_norm = fold(lone)
    xs, x = folded(shape, 0)
    y = pack_norm(x)
    assert torch.equal(y, torch.cat([norm(each) for norm, each in zip(lone, xs, strict=True)], 1))
    for k, norm in enumerate(lone):
        assert_equal(pack_norm.running_mean[k], norm.running_mean, "running mean")
        assert torch.equal(pack_norm.running_var[k], norm.running_var)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)], ids=str)
def test_a_single_value_a_channel_is_refused_in_a_pack_too(shape):
    pack_norm = fold(norms(shape, own=True, affine=True))
    with pytest.raises(ValueError, match=r"norm\.single_value=constant"):
        pack_norm(folded(shape, 0)[1])


def test_a_pack_switches_all_its_norms_to_batch_statistics_and_back():
    nets = [randomize(Residual(3, 0.1), k) for k in range(2)]
    packed = pack(nets)
    assert packed.has_running_statistics
    norms = [n for n in packed.modules() if isinstance(n, BatchNorm)]
    packed.use_statistics(Statistics.batch)
    assert [n.statistics for n in norms] == [Statistics.batch] * 2
    packed.use_statistics(Statistics.running)
    assert [n.statistics for n in norms] == [Statistics.running] * 2
    assert not pack([dense(), dense()]).has_running_statistics


SMALL = {
    "fc": ModelConfig(name="fc", depth=2, width=6),
    "cnn": ModelConfig(name="cnn", depth=3, width=4, stride_every=2, hidden=6),
}


@pytest.mark.parametrize("logits", ["plain", "affine"])
@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(name="fc", depth=0),
        ModelConfig(name="cnn", depth=4, width=4, stride_every=2, hidden=6, padding=Padding.same),
    ],
    ids=lambda model: model.name,
)
def test_the_smallest_and_an_unevenly_padded_network_are_themselves_in_a_pack(model, logits):
    nets = []
    for seed in range(3):
        norm = NormConfig(name="batch", logits=LogitsNorm(logits), eps=1e-3)
        config = Config(seed=seed, model=model, norm=norm, training=TrainingConfig(precision=Precision.float64))
        trial = Trial.from_config(config, train_size=100, data_checksum="")
        nets.append(randomize(build_model(trial, (1, 8, 6), 4), seed))
    assert_pack_is_its_networks(nets, (1, 8, 6), N=6)


@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("model", SMALL)
def test_every_norm_in_a_pack_is_itself(model, name, placement):
    nets = []
    for seed, momentum in enumerate(MOMENTA[:3]):
        norm = NormConfig(name=name, placement=placement, momentum=momentum, groups=2, ghost_size=3, eps=1e-3)
        training = TrainingConfig(precision=Precision.float64)
        config = Config(seed=seed, model=SMALL[model], norm=norm, training=training)
        trial = Trial.from_config(config, train_size=100, data_checksum="")
        nets.append(randomize(build_model(trial, (1, 6, 6), 4), seed))
    assert_pack_is_its_networks(nets, (1, 6, 6), N=6)


def dense(features: int = 4, **kwargs: bool) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, features, **kwargs), nn.ReLU(), nn.Linear(features, 3))


def test_a_pack_is_padded_with_copies_of_its_last_network():
    lone = pack([randomize(dense(), 0)])
    assert lone.slots == 2
    five = pack([randomize(Residual(3, 0.1), k) for k in range(5)])
    assert five.slots == 16
    for slot in range(5, 16):
        for name, value in five.slot_state(slot).items():
            assert torch.equal(value, five.slot_state(4)[name])
    assert not torch.equal(five.slot_state(3)["head.weight"], five.slot_state(4)["head.weight"])


def test_the_layout_follows_the_layers():
    assert pack([dense()]).layout == Layout.feature_major
    assert pack([Residual(2, 0.1)]).layout == Layout.channels_last


def test_packing_leaves_the_networks_alone():
    nets = [randomize(Residual(2, 0.1), k) for k in range(2)]
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    packed = pack(nets)
    packed(packed.fold(images(packed.slots, 4, (2, 5, 5)), torch.float64)).sum().backward()
    with torch.no_grad():
        for p in packed.parameters():
            p.add_(1)
    for net, state in zip(nets, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())


def test_clearing_a_slot_zeroes_it_and_no_other():
    packed = pack([randomize(Residual(4, 0.1), k) for k in range(4)])
    before = [{name: v.clone() for name, v in packed.slot_state(k).items()} for k in range(4)]
    with torch.no_grad():
        for value in packed.slot_state(1).values():
            value.fill_(torch.nan)
    packed.clear(1)
    assert all(value.count_nonzero() == 0 for value in packed.slot_state(1).values())
    for k in (0, 2, 3):
        assert all(torch.equal(value, before[k][name]) for name, value in packed.slot_state(k).items())


def test_pack_holds_a_row_for_every_slot_of_every_parameter():
    packed = pack([randomize(Residual(4, 0.1), k) for k in range(4)])
    lone = Residual(4, 0.1)
    assert isinstance(packed, Pack)
    shapes = {name: tuple(p.shape) for name, p in packed.net.named_parameters()}
    assert shapes == {name: (4, *p.shape) for name, p in lone.named_parameters()}
