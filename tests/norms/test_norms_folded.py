"""Folded norms: each of K trials gets the results it would get alone, and the same bits in every slot."""

import copy
import re
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from bnbench.norms.batch import BatchNorm
from bnbench.norms.channel_norm import ChannelNorm, NormError
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bnbench.norms.renorm import BatchRenorm

EPS, STEPS = 1e-3, 2
RUNNING: dict[str, Callable[..., BatchNorm]] = {
    "batch": lambda C, **kw: BatchNorm(C, **kw),
    "batch_divisor_N": lambda C, **kw: BatchNorm(C, unbiased=False, **kw),
    "batch_fused": lambda C, **kw: BatchNorm(C, fused=True, **kw),
    "batch_cumulative": lambda C, **kw: BatchNorm(C, cumulative=True, **kw),
    "batch_constant": lambda C, **kw: BatchNorm(C, constant=True, **kw),
    "ghost": lambda C, **kw: GhostBatchNorm(C, ghost_size=2, **kw),
    "ghost_cumulative": lambda C, **kw: GhostBatchNorm(C, ghost_size=2, cumulative=True, unbiased=False, **kw),
    "renorm": lambda C, **kw: BatchRenorm(C, r_max=1.5, d_max=0.5, **kw),
    "renorm_unclipped": lambda C, **kw: BatchRenorm(C, r_max=1e9, d_max=1e9, **kw),
    "renorm_constant": lambda C, **kw: BatchRenorm(C, constant=True, **kw),
    "renorm_warming_up": lambda C, **kw: BatchRenorm(C, warmup_steps=2, **kw),
}
PER_EXAMPLE: dict[str, Callable[..., ChannelNorm]] = {
    "layer": lambda C, **kw: LayerNorm(C, **kw),
    "instance": lambda C, **kw: InstanceNorm(C, **kw),
    "group": lambda C, **kw: GroupNorm(C, groups=C // 3 if C % 3 == 0 else C // 4, **kw),
    "rms": lambda C, **kw: RMSNorm(C, **kw),
    "filter_response": lambda C, **kw: FilterResponseNorm(C, **kw),
}
NORMS = RUNNING | PER_EXAMPLE
MOMENTA = [0.3, 0.1, 0.9, 0.01, 1.0, 0.5, 0.0, 0.25]

Record = dict[str, Tensor]  # the tensors of one trial by name, or those of K trials with K as the first axis


def values(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trial_norm(name: str, C: int, trial: int, dtype: torch.dtype, *, affine: bool = True) -> ChannelNorm:
    """The norm of a trial, with parameters, statistics and a momentum that differ from those of other trials."""
    momentum = {"momentum": MOMENTA[trial % len(MOMENTA)]} if name in RUNNING else {}
    norm = NORMS[name](C, eps=EPS, affine=affine, **momentum).to(dtype)
    with torch.no_grad():
        for i, (key, value) in enumerate(norm.state_dict().items()):
            random_values = values(*value.shape, seed=1000 + 10 * trial + i)
            value.copy_(1 + random_values.abs() if key in ("running_var", "running_std") else random_values)
    return norm


def trial_data(shape: tuple[int, ...], trial: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """The input and the upstream gradient of a trial at each step; trials differ in offset and scale."""
    x, dout = values(STEPS, *shape, seed=trial), values(STEPS, *shape, seed=500 + trial)
    return [((trial % 3 - 1 + (1 + step) * x[step]).to(dtype), dout[step].to(dtype)) for step in range(STEPS)]


def folded(tensors: Sequence[Tensor]) -> Tensor:
    """K activations of (N, C, ...) as a pack stores them: feature-major in 2-D, channels_last in 4-D."""
    x = torch.stack(list(tensors), 1).flatten(1, 2)  # (N, K*C, ...)
    return x.t().contiguous().t() if x.dim() == 2 else x.contiguous(memory_format=torch.channels_last)


def unfolded(x: Tensor, K: int) -> Tensor:
    return x.unflatten(1, (K, -1)).transpose(0, 1)  # (K, N, C, ...)


def play(norm: ChannelNorm, data: list[tuple[Tensor, Tensor]], K: int) -> Record:
    """Outputs, gradients and buffers of some training steps and an evaluation, with K as the first axis."""
    record: Record = {}
    for step, (x, dout) in enumerate([*data, data[0]]):
        leaf = x.detach().requires_grad_()  # keeps the memory layout
        y = norm.train(step < len(data))(leaf)
        g_x, *grads = torch.autograd.grad(y, [leaf, *norm.parameters()], dout)
        record |= {f"y, step {step}": unfolded(y.detach(), K), f"dx, step {step}": unfolded(g_x, K)}
        names = dict(norm.named_parameters())
        record |= {f"d{key}, step {step}": g.reshape(K, -1) for key, g in zip(names, grads, strict=True)}
        for key, value in norm.named_buffers():
            record[f"{key}, step {step}"] = value.clone().reshape(K, -1)
    return record


def play_fold(
    name: str, shape: tuple[int, ...], trials: Sequence[int], dtype: torch.dtype, *, contiguous: bool = False
) -> list[Record]:
    """The record of each trial, folded in this order; `contiguous` stores the upstream gradient in another layout."""
    K = len(trials)
    norm = NORMS[name](shape[1], eps=EPS).fold([trial_norm(name, shape[1], trial, dtype) for trial in trials])
    steps = zip(*(trial_data(shape, trial, dtype) for trial in trials), strict=True)
    data = [tuple(folded(tensors) for tensors in zip(*step, strict=True)) for step in steps]
    if contiguous:
        data = [(x, dout.contiguous()) for x, dout in data]
    record = play(norm, data, K)
    return [{key: value[k] for key, value in record.items()} for k in range(K)]


def play_lone(name: str, shape: tuple[int, ...], trial: int, dtype: torch.dtype) -> Record:
    norm = trial_norm(name, shape[1], trial, dtype)
    return {key: value[0] for key, value in play(norm, trial_data(shape, trial, dtype), 1).items()}


LONE_SHAPES = [(4, 9), (2, 3), (4, 9, 2, 3), (2, 15, 3, 1), (4, 9, 1, 1)]


@pytest.mark.parametrize("K", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("shape", LONE_SHAPES)
@pytest.mark.parametrize("name", NORMS)
def test_each_trial_of_a_fold_gets_the_results_it_would_alone(name, shape, K):
    records = play_fold(name, shape, range(K), torch.float64)
    for trial, record in enumerate(records):
        lone = play_lone(name, shape, trial, torch.float64)
        assert record.keys() == lone.keys()
        for key, value in record.items():
            torch.testing.assert_close(
                value, lone[key], rtol=1e-12, atol=1e-12, msg=lambda m, key=key, t=trial: f"trial {t}, {key}: {m}"
            )


@pytest.mark.parametrize("shape", [(1, 9), (1, 9, 1, 1)])
@pytest.mark.parametrize("name", ["batch_constant", "renorm_constant", *PER_EXAMPLE])
def test_each_trial_of_a_fold_gets_the_results_it_would_alone_on_a_single_value_per_channel(name, shape):
    for trial, record in enumerate(play_fold(name, shape, range(5), torch.float64)):
        lone = play_lone(name, shape, trial, torch.float64)
        for key, value in record.items():
            torch.testing.assert_close(value, lone[key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NORMS)
def test_a_fold_without_affine_gives_the_results_of_its_trials(name):
    norms = [trial_norm(name, 9, trial, torch.float64, affine=False) for trial in range(3)]
    fold = type(norms[0]).fold([copy.deepcopy(norm) for norm in norms])
    xs = [values(4, 9, 2, 3, seed=trial) for trial in range(3)]
    for mode in (True, False):
        together = unfolded(fold.train(mode)(folded(xs)), 3)
        for actual, norm, x in zip(together, norms, xs, strict=True):
            torch.testing.assert_close(actual, norm.train(mode)(x), rtol=1e-12, atol=1e-12)


# Equality to the bit. Batch norm of images is torch's kernel, which has it if K * C is a multiple of 16.

FLAT = [(6, 3), (6, 9), (50, 3), (2, 15), (6, 9, 1, 1)]
IMAGES = [(4, 9, 2, 5), (2, 15, 7, 3), (4, 3, 9, 9)]
KERNEL = [name for name in RUNNING if name.startswith("batch")]
ANY_K = [(name, shape) for name in NORMS for shape in FLAT]
ANY_K += [(name, shape) for name in NORMS if name not in KERNEL for shape in IMAGES]
ANY_K += [(name, (4, 16, 2, 5)) for name in KERNEL]
ODD_C = [(name, shape) for name in KERNEL for shape in [(4, 3, 2, 5), (2, 5, 7, 3), (6, 1, 3, 1)]]


def assert_same_bits(actual: Record, judge: Record) -> None:
    assert actual.keys() == judge.keys()
    for key, value in actual.items():
        assert torch.equal(value, judge[key]), f"{key}: {(value - judge[key]).abs().max()} off"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "shape"), ANY_K)
def test_a_trial_has_the_same_bits_in_every_fold_and_slot(name, shape, dtype):
    judge, _ = play_fold(name, shape, [0, 1], dtype)
    for K in (2, 3, 5, 8):
        for slot in {0, K // 2, K - 1}:
            neighbours = [2 + slot + k for k in range(K)]
            neighbours[slot] = 0
            assert_same_bits(play_fold(name, shape, neighbours, dtype)[slot], judge)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in RUNNING for shape in [(6, 9), (4, 16, 2, 5)]])
def test_neighbours_of_another_momentum_change_no_bit(name, shape, dtype):
    same, other = len(MOMENTA), 1  # numbers of trials; trial `same` has the momentum of trial 0
    judge = play_fold(name, shape, [0, same, 2 * same], dtype)
    for neighbours in ([0, other, same], [0, other, other + 1]):
        assert_same_bits(play_fold(name, shape, neighbours, dtype)[0], judge[0])


@pytest.mark.parametrize("name", RUNNING)
def test_slots_that_are_selected_keep_their_momentum(name):
    fold = type(trial_norm(name, 9, 0, torch.float64)).fold(
        [trial_norm(name, 9, trial, torch.float64) for trial in range(4)]
    )
    fold.select([2, 0, 2])
    assert fold.trials == 3
    assert fold.momenta == (MOMENTA[2], MOMENTA[0], MOMENTA[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "shape"), ODD_C)
def test_a_trial_of_an_odd_number_of_channels_has_the_same_bits_in_every_padded_fold_and_slot(name, shape, dtype):
    judge = play_fold(name, shape, range(16), dtype)[0]
    for K, slot in ((16, 7), (16, 15), (32, 0), (32, 21), (32, 31), (48, 47)):
        neighbours = [2 + slot + k for k in range(K)]
        neighbours[slot] = 0
        assert_same_bits(play_fold(name, shape, neighbours, dtype)[slot], judge)


@pytest.mark.parametrize(("name", "shape"), ANY_K)
def test_the_memory_layout_of_the_upstream_gradient_changes_no_bit(name, shape):
    trials = [0, 1, 2, 3, 4]
    judges = play_fold(name, shape, trials, torch.float32)
    contiguous = play_fold(name, shape, trials, torch.float32, contiguous=True)
    for actual, judge in zip(contiguous, judges, strict=True):
        assert_same_bits(actual, judge)


@pytest.mark.parametrize(("name", "shape"), [(name, s) for name in NORMS for s in [(6, 9), (4, 16, 2, 5)]])
def test_a_neighbour_that_diverged_changes_no_bit(name, shape):
    judge = play_fold(name, shape, [0, 1, 2], torch.float32)
    norms = [trial_norm(name, shape[1], trial, torch.float32) for trial in range(3)]
    with torch.no_grad():
        for value in norms[1].state_dict().values():
            value.fill_(torch.nan)
    steps = []
    for step in zip(*(trial_data(shape, trial, torch.float32) for trial in range(3)), strict=True):
        (x0, d0), (x1, d1), (x2, d2) = step
        steps.append((folded([x0, torch.full_like(x1, torch.inf), x2]), folded([d0, d1 * torch.nan, d2])))
    record = play(type(norms[0]).fold(norms), steps, 3)
    for k in (0, 2):
        assert_same_bits({key: value[k] for key, value in record.items()}, judge[k])


@pytest.mark.parametrize("name", NORMS)
def test_a_folds_state_loads_into_another_fold(name):
    fold, other = (
        type(trial_norm(name, 9, 0, torch.float64)).fold(
            [trial_norm(name, 9, first + k, torch.float64) for k in range(3)]
        )
        for first in (0, 3)
    )
    x = folded([values(4, 9, 2, 3, seed=k) for k in range(3)])
    fold(x)
    assert not torch.equal(fold.eval()(x), other.eval()(x))
    other.load_state_dict(copy.deepcopy(fold.state_dict()))
    assert torch.equal(fold(x), other(x))


@pytest.mark.parametrize("name", NORMS)
def test_folding_shares_no_memory_with_its_trials(name):
    norms = [trial_norm(name, 9, k, torch.float64) for k in range(2)]
    before = [{key: value.clone() for key, value in norm.state_dict().items()} for norm in norms]
    fold = type(norms[0]).fold(norms)
    fold(folded([values(4, 9, seed=k) for k in range(2)])).sum().backward()
    with torch.no_grad():
        for value in fold.state_dict().values():
            value.add_(1)
    for norm, state in zip(norms, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in norm.state_dict().items())
        assert all(p.grad is None for p in norm.parameters())


class _LayerNormWithAttributes(LayerNorm):
    """A layer norm with any further attributes."""

    def __init__(self, C: int, **attributes: object) -> None:
        super().__init__(C)
        for name, value in attributes.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([{"_width": 1}, {"_width": 2}], "_LayerNormWithAttributes._width differs within the pack: ['1', '2']"),
        ([{"_largest": torch.zeros(3)}] * 2, "_LayerNormWithAttributes._largest is a tensor in a plain attribute"),
        ([{"inner": nn.Linear(2, 2)}] * 2, "_LayerNormWithAttributes holds layers, inner"),
    ],
)
def test_attributes_that_cannot_be_folded_are_refused(attributes, message):
    with pytest.raises(NormError, match=re.escape(message)):
        _LayerNormWithAttributes.fold([_LayerNormWithAttributes(3, **values) for values in attributes])
