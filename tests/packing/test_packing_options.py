"""Every option of every layer that packing knows: packed it computes what it does alone, or it is refused by name."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bnbench.norms.standardized_weights import StandardizedConv2d, StandardizedLinear
from bnbench.packing.leaves import RULES, UnpackableError
from bnbench.packing.lone import LonePack
from bnbench.packing.pack import pack

IMAGE, CHANNELS, K, N = (2, 7, 6), 6, 3, 4
CONV = {
    "stride": [2, (1, 2)],
    "padding": [1, (0, 2), "same", "valid"],
    "dilation": [2, (2, 1)],
    "groups": [3, 6],
    "bias": [False],
    "padding_mode": ["reflect", "replicate", "circular"],
}
BATCH_NORM = {
    "eps": [0.1],
    "momentum": [None, 0.0, 0.7, 1.0],
    "affine": [False],
    "track_running_stats": [False],
    "bias": [False],
}
# What the constructor must be given, and the other values that each of its options may have.
OPTIONS: dict[type[nn.Module], tuple[tuple[Any, ...], dict[str, list[Any]]]] = {
    nn.Linear: ((CHANNELS, 5), {"bias": [False]}),
    StandardizedLinear: ((CHANNELS, 5), {"bias": [False]}),
    nn.Conv2d: ((CHANNELS, 12, 3), CONV),
    StandardizedConv2d: ((CHANNELS, 12, 3), CONV),
    nn.BatchNorm1d: ((CHANNELS,), BATCH_NORM),
    nn.BatchNorm2d: ((CHANNELS,), BATCH_NORM),
    nn.Flatten: ((), {"start_dim": [0, 2], "end_dim": [2, 3]}),
    nn.ZeroPad2d: ((1,), {"padding": [2, (0, 1, 2, 3), (-1, 0, 0, 1)]}),
    nn.AdaptiveAvgPool2d: ((1,), {"output_size": [(1, 1), 2, (2, 3), (1, None), (None, 1)]}),
    nn.MaxPool2d: (
        (2,),
        {
            "kernel_size": [3, (2, 1)],
            "stride": [1, (1, 2)],
            "padding": [1, (0, 1)],
            "dilation": [2, (1, 2)],
            "return_indices": [True],
            "ceil_mode": [True],
        },
    ),
    nn.AvgPool2d: (
        (3,),
        {
            "kernel_size": [2, (2, 1)],
            "stride": [1, (1, 2)],
            "padding": [1, (0, 1)],
            "ceil_mode": [True],
            "count_include_pad": [False],
            "divisor_override": [5],
        },
    ),
    nn.Identity: ((), {}),
    nn.ReLU: ((), {"inplace": [True]}),
    nn.LeakyReLU: ((), {"negative_slope": [0.3], "inplace": [True]}),
    nn.Tanh: ((), {}),
    nn.Sigmoid: ((), {}),
    nn.ELU: ((), {"alpha": [0.5], "inplace": [True]}),
    nn.GELU: ((), {"approximate": ["tanh"]}),
    nn.SiLU: ((), {"inplace": [True]}),
    nn.Softplus: ((), {"beta": [3.0], "threshold": [0.5]}),
}
REFUSED = {("padding_mode", value) for value in CONV["padding_mode"]}
REFUSED |= {("track_running_stats", False), ("start_dim", 0), ("start_dim", 2), ("end_dim", 2), ("end_dim", 3)}
CASES = [(kind, {}) for kind in OPTIONS]
CASES += [
    (kind, {name: value}) for kind, (_, options) in OPTIONS.items() for name in options for value in options[name]
]
CASES += [
    (nn.AvgPool2d, {"padding": 1, "count_include_pad": False}),
    (nn.BatchNorm1d, {"momentum": None, "bias": False}),
    (nn.BatchNorm2d, {"momentum": None, "bias": False}),
    (nn.Conv2d, {"padding": "same", "dilation": 2, "groups": 2, "bias": False}),
]


class First(nn.Module):
    """The first of what a layer gives, where that is several."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y[0] if isinstance(y, tuple) else y


def leaf_of(kind: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    given, _ = OPTIONS[kind]
    names = list(inspect.signature(kind).parameters)
    return kind(**dict(zip(names, given, strict=False)) | options)


def network(kind: type[nn.Module], options: dict[str, Any], seed: int) -> nn.Module:
    """The layer between two others, all numbers random; on features if it is for them, else on maps."""
    leaf = leaf_of(kind, options)
    if kind in (nn.Linear, StandardizedLinear, nn.BatchNorm1d):
        first = [nn.Flatten(), nn.Linear(IMAGE[0] * IMAGE[1] * IMAGE[2], CHANNELS), leaf]
    elif kind is nn.Flatten:
        first = [leaf]
    else:
        first = [nn.Conv2d(IMAGE[0], CHANNELS, 3, padding=1), First(leaf), nn.Flatten()]
    net = nn.Sequential(*first).double()
    outputs = net(torch.zeros(2, *IMAGE, dtype=torch.float64)).shape[-1]
    net.append(nn.Linear(outputs, 3)).double()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=g, dtype=torch.float64) / 2
                value.copy_(0.5 + drawn.abs() if name.endswith("running_var") else drawn)
            else:
                value.zero_()  # the batches that a batch norm has seen
    return net


def images(seed: int, trials: int) -> Tensor:
    return torch.randn(trials, N, *IMAGE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def record(forward: Callable[[Tensor], Tensor], module: nn.Module, steps: list[Tensor]) -> list[Tensor]:
    """Logits and gradients of some training steps, then logits in evaluation."""
    seen = []
    for x in steps:
        module.zero_grad()
        logits = forward(x)
        (logits * torch.linspace(-1, 1, N * 3, dtype=torch.float64).view(N, 3)).sum().backward()
        gradients = [p.grad.clone() for _, p in sorted(module.named_parameters()) if p.grad is not None]
        seen += [logits.detach(), *gradients]
    module.eval()
    return [*seen, forward(steps[0]).detach()]


def name_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else ",".join(f"{k}={v}" for k, v in value.items())


def test_every_option_of_every_layer_that_packing_knows_is_tried():
    assert OPTIONS.keys() == RULES.keys()
    for kind, (given, options) in OPTIONS.items():
        names = [n for n in inspect.signature(kind).parameters if n not in ("args", "kwargs", "device", "dtype")]
        assert {*names[len(given) :]} - {*options} == set(), kind


@pytest.mark.parametrize(("kind", "options"), CASES, ids=name_of)
def test_packed_it_computes_what_it_does_alone_or_is_refused(kind, options):
    if not REFUSED.isdisjoint(options.items()):
        with pytest.raises(UnpackableError):
            pack([leaf_of(kind, options)] * 2)
        return
    nets = [network(kind, options, seed) for seed in range(K)]
    packed = pack([copy.deepcopy(net) for net in nets])
    steps = [images(seed, packed.slots) for seed in range(2)]
    together = record(lambda x: packed(packed.fold(x, torch.float64)).transpose(1, 2), packed, steps)
    for k, net in enumerate(nets):
        alone = record(net, net, [x[k] for x in steps])
        assert len(together) == len(alone)
        for mine, judge in zip(together, alone, strict=True):
            torch.testing.assert_close(mine[k], judge, rtol=1e-12, atol=1e-12)
        state = packed.slot_state(k)
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), [case for case in CASES if case[0] is not nn.Flatten], ids=name_of)
def test_trained_alone_it_is_itself(kind, options):
    net = network(kind, options, 0)
    steps = [images(seed, 1) for seed in range(2)]
    lone = LonePack(copy.deepcopy(net), 0)
    mine = record(lambda x: lone(lone.fold(x, torch.float64))[0].t(), lone, steps)
    for value, judge in zip(mine, record(net, net, [x[0] for x in steps]), strict=True):
        torch.testing.assert_close(value.squeeze(0) if value.dim() > judge.dim() else value, judge)


MAY_DIFFER = [{"momentum": value} for value in BATCH_NORM["momentum"] if value is not None]
MUST_AGREE = [(kind, options) for kind, options in CASES if options and options not in MAY_DIFFER]


@pytest.mark.parametrize(("kind", "options"), MUST_AGREE, ids=name_of)
def test_layers_that_differ_in_an_option_are_refused(kind, options):
    with pytest.raises(UnpackableError):
        pack([leaf_of(kind, {}), leaf_of(kind, options)])
