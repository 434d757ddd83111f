"""The memory layout of inputs, large offsets, evaluation, saved states and single values: norms must handle them."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bnbench import reference
from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bnbench.norms.renorm import BatchRenorm

EPS = 1e-3
RUNNING: dict[str, Callable[..., BatchNorm]] = {
    "batch": lambda C, **kw: BatchNorm(C, **kw),
    "batch_divisor_N": lambda C, **kw: BatchNorm(C, unbiased=False, **kw),
    "batch_cumulative": lambda C, **kw: BatchNorm(C, cumulative=True, **kw),
    "batch_constant": lambda C, **kw: BatchNorm(C, constant=True, **kw),
    "ghost": lambda C, **kw: GhostBatchNorm(C, ghost_size=3, **kw),
    "renorm": lambda C, **kw: BatchRenorm(C, r_max=1.5, d_max=0.5, **kw),
    "renorm_unclipped": lambda C, **kw: BatchRenorm(C, r_max=1e9, d_max=1e9, **kw),
    "renorm_warming_up": lambda C, **kw: BatchRenorm(C, warmup_steps=3, **kw),
}
PER_EXAMPLE: dict[str, Callable[..., nn.Module]] = {
    "layer": lambda C, **kw: LayerNorm(C, **kw),
    "instance": lambda C, **kw: InstanceNorm(C, **kw),
    "group": lambda C, **kw: GroupNorm(C, groups=C // 3, **kw),
    "rms": lambda C, **kw: RMSNorm(C, **kw),
    "filter_response": lambda C, **kw: FilterResponseNorm(C, **kw),
}
NORMS = RUNNING | PER_EXAMPLE
OF_DEVIATION = [name for name in RUNNING if name.startswith("renorm")]  # their running statistic is sqrt(var + eps)
DIVISOR_N = ["batch_divisor_N", *OF_DEVIATION]
every_norm = pytest.mark.parametrize("name", NORMS)
every_running = pytest.mark.parametrize("name", RUNNING)


def values(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fresh(name: str, C: int = 9, dtype: torch.dtype = torch.float64, *, momentum: float = 0.3) -> nn.Module:
    return NORMS[name](C, eps=EPS, **({"momentum": momentum} if name in RUNNING else {})).to(dtype)


def randomized(name: str, C: int = 9, dtype: torch.dtype = torch.float64) -> nn.Module:
    norm = fresh(name, C, dtype)
    with torch.no_grad():
        for i, (key, value) in enumerate(norm.state_dict().items()):
            random_values = values(*value.shape, seed=10 + i)
            value.copy_(1 + random_values.abs() if key in ("running_var", "running_std") else random_values)
    return norm


def running_variance(norm: nn.Module) -> Tensor:
    return norm.running_std.square() - EPS if isinstance(norm, BatchRenorm) else norm.running_var


def record_of(norm: nn.Module, base: Tensor, view: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Outputs, gradients by `base` and statistics of a training step and an evaluation on `view(base)`."""
    leaf = base.clone().requires_grad_()
    result = {}
    for mode in ("trained", "evaluated"):
        x = view(leaf)
        y = norm.train(mode == "trained")(x)
        grads = torch.autograd.grad(y, [leaf, *norm.parameters()], values(*x.shape, seed=2).to(x.dtype))
        names = ["x", *dict(norm.named_parameters())]
        result |= {f"y {mode}": y.detach()} | {f"d{k} {mode}": g for k, g in zip(names, grads, strict=True)}
    return result | {key: value.clone() for key, value in norm.named_buffers()}


def assert_same(actual: dict[str, Tensor], judge: dict[str, Tensor]) -> None:
    assert actual.keys() == judge.keys()
    for key, value in actual.items():
        torch.testing.assert_close(value, judge[key], rtol=1e-12, atol=1e-12, msg=lambda m, key=key: f"{key}: {m}")


# Memory layouts of an input: the shape of a stored tensor, and the view of it that is the input.
LAYOUTS = {
    "transposed": ((9, 6), lambda t: t.t()),
    "every_second_row": ((12, 9), lambda t: t[::2]),
    "every_second_column": ((6, 18), lambda t: t[:, ::2]),
    "columns_from_the_middle": ((6, 13), lambda t: t[:, 2:11]),
    "reversed": ((6, 9), lambda t: t.flip(0, 1)),
    "one_row_expanded_to_three": ((2, 9), lambda t: t[:, None].expand(2, 3, 9).flatten(0, 1)),
    "one_column_expanded_to_all": ((6, 1), lambda t: t.expand(6, 9)),
    "channels_last": ((6, 9, 2, 5), lambda t: t.contiguous(memory_format=torch.channels_last)),
    "channels_last_by_permutation": ((6, 2, 5, 9), lambda t: t.permute(0, 3, 1, 2)),
    "feature_major_image": ((9, 2, 5, 6), lambda t: t.permute(3, 0, 1, 2)),
    "width_before_height": ((6, 9, 5, 2), lambda t: t.transpose(2, 3)),
    "cropped": ((6, 9, 4, 6), lambda t: t[:, :, 1:3, :-1]),
    "strided": ((6, 9, 3, 9), lambda t: t[:, :, ::2, ::2]),
    "some_channels": ((6, 20, 2, 5), lambda t: t[:, 1:19:2]),
    "one_map_expanded_to_all": ((6, 1, 2, 5), lambda t: t.expand(6, 9, 2, 5)),
    "single_pixels": ((9, 6, 1, 1), lambda t: t.transpose(0, 1)),
    "single_images": ((2, 9, 3, 6), lambda t: t[1:].expand(3, 9, 3, 6)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@every_norm
def test_the_memory_layout_of_the_input_does_not_matter(name, layout):
    shape, view = LAYOUTS[layout]
    norm = randomized(name)
    judge = record_of(copy.deepcopy(norm), values(*shape), lambda t: view(t).contiguous())
    assert_same(record_of(norm, values(*shape), view), judge)


@every_norm
def test_the_memory_layout_of_the_upstream_gradient_does_not_matter(name):
    for shape in ((6, 9), (6, 9, 2, 5), (6, 9, 1, 1)):
        norm, dout = randomized(name), values(*shape, seed=2)
        leaf = values(*shape).requires_grad_()
        y = norm(leaf)
        judges = torch.autograd.grad(y, leaf, dout, retain_graph=True)
        transposed = dout.transpose(0, -1).contiguous().transpose(0, -1)
        spaced = torch.stack([dout, torch.full_like(dout, torch.nan)], -1)[..., 0]
        for other in (transposed, spaced):
            torch.testing.assert_close(torch.autograd.grad(y, leaf, other, True), judges, rtol=1e-12, atol=1e-12)


@every_norm
def test_the_input_is_not_changed(name):
    for x in (values(6, 9), values(9, 6).t(), values(6, 9, 2, 5).contiguous(memory_format=torch.channels_last)):
        before = x.clone()
        norm = randomized(name)
        y = norm(x)
        norm.eval()(x)
        assert torch.equal(x, before)
        with torch.no_grad():
            y.fill_(0)  # must not change the input either, whose memory the output does not share
        assert torch.equal(x, before)


# Large offsets: mean 1e4 and deviation 1, in float32, which rounds 1e4 by up to 1e-3.


def naive(x: Tensor, view: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """(x - E[x]) / sqrt(E[x²] - E[x]² + eps) in the precision of x, with a negative variance set to 0."""
    grouped = x.reshape(view)
    mean = grouped.mean(axes, keepdim=True)
    var = ((grouped * grouped).mean(axes, keepdim=True) - mean * mean).clamp(min=0)
    return ((grouped - mean) / (var + EPS).sqrt()).reshape(x.shape)


def oracle(name: str, x: np.ndarray) -> np.ndarray:
    """The output of the reference, with weight 1 and bias 0."""
    ones, zeros, state = np.ones(9), np.zeros(9), reference.torch_state(9, eps=EPS)
    forward = reference.batchnorm_forward if x.ndim == 2 else reference.spatial_batchnorm_forward
    if name.startswith("batch"):
        return forward(x, ones, zeros, state)[0]
    if name == "ghost":
        return reference.ghost_batch_norm(x, ones, zeros, state, ghost_size=3)
    if name == "group":
        return reference.group_norm(x, 3, eps=EPS)
    return {"layer": reference.layer_norm, "instance": reference.instance_norm}[name](x, eps=EPS)


def normalized_axes(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape to view the input in, and the axes of that view over which values are normalized together."""
    n, c, *rest = shape
    if name.startswith("batch"):
        return shape, (0, *range(2, len(shape)))
    if name == "ghost":
        return (n // 3, 3, c, *rest), (1, *range(3, len(shape) + 1))
    groups = {"layer": 1, "group": 3, "instance": c}[name]
    return (n, groups, c // groups, *rest), tuple(range(2, len(shape) + 1))


OFFSET = [(name, shape) for name in ("batch", "ghost", "layer", "group") for shape in ((48, 9), (6, 9, 5, 3))]
OFFSET.append(("instance", (6, 9, 5, 3)))


@pytest.mark.parametrize("layout", ["contiguous", "as_in_a_pack"])
@pytest.mark.parametrize(("name", "shape"), OFFSET)
def test_a_large_offset_costs_the_naive_formula_its_digits_and_the_norm_none(name, shape, layout):
    x = (1e4 + values(*shape)).float()
    if layout == "as_in_a_pack":
        x = x.t().contiguous().t() if x.dim() == 2 else x.contiguous(memory_format=torch.channels_last)
    judge = torch.from_numpy(oracle(name, x.double().numpy()))
    y = fresh(name, dtype=torch.float32)(x).detach()
    # The mean of 1e4 has an error of up to 1e-3, which shifts every output by that over the deviation; among the three
    # values of a ghost batch or a group the deviation may be as small as 0.1.
    torch.testing.assert_close(y.double(), judge, rtol=0, atol=1e-2)
    naive_error = (naive(x, *normalized_axes(name, shape)).double() - judge).abs().max()
    assert naive_error > 0.3, "E[x²] - E[x]² is 1e8 * 6e-8 = 6 off, beside a variance of 1"


@pytest.mark.parametrize("shape", [(48, 9), (6, 9, 5, 3)])
@pytest.mark.parametrize("name", [name for name in RUNNING if name != "renorm_unclipped"])
def test_a_large_offset_costs_the_running_variance_no_digits(name, shape):
    x = (1e4 + values(*shape)).float()
    norm = fresh(name, dtype=torch.float32, momentum=1.0)  # so that the running statistics are those of the last batch
    norm(x)
    last_batch = x.double()[-3:] if name == "ghost" else x.double()
    axes = (0, *range(2, x.dim()))
    torch.testing.assert_close(
        norm.running_mean.double(), last_batch.mean(axes), rtol=2e-7, atol=0
    )  # rounding of float32
    truth = last_batch.var(axes, unbiased=name not in DIVISOR_N)
    # the error of the mean counts squared: (1e4 * 6e-8)² = 4e-7, beside variances of at least 0.05
    torch.testing.assert_close(running_variance(norm).double(), truth, rtol=1e-5, atol=1e-6)
    naive_var = (x * x).mean(axes) - x.mean(axes) ** 2
    assert (naive_var.double() - x.double().var(axes, unbiased=False)).abs().max() > 0.3


@pytest.mark.parametrize("shape", [(48, 9), (6, 9, 5, 3)])
@pytest.mark.parametrize("name", ["rms", "filter_response"])
def test_a_norm_that_does_not_center_keeps_its_digits_at_a_large_offset(name, shape):
    x = (1e4 + values(*shape)).float()
    y = fresh(name, dtype=torch.float32)(x).detach().double()
    mean_square = x.double().square().mean((1, 2, 3) if name == "rms" and x.dim() == 4 else 1, keepdim=True)
    if name == "filter_response":
        mean_square = x.double().square() if x.dim() == 2 else x.double().square().mean((2, 3), keepdim=True)
    torch.testing.assert_close(y, x.double() / mean_square.sqrt(), rtol=1e-6, atol=0)  # 16 roundings of 6e-8


# Evaluation


@pytest.mark.parametrize("shape", [(6, 9), (1, 9), (3, 9, 2, 5), (1, 9, 1, 1)])
@every_running
def test_before_any_training_step_evaluation_divides_by_the_root_of_one_plus_eps(name, shape):
    x = 3 * values(*shape) + 2
    y = fresh(name).eval()(x)
    std = 1 if name in OF_DEVIATION else (1 + EPS) ** 0.5
    torch.testing.assert_close(y.detach(), x / std, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 9), (3, 9, 2, 5), (1, 9, 1, 1)])
@pytest.mark.parametrize("name", PER_EXAMPLE)
def test_a_norm_over_single_examples_gives_the_same_in_evaluation_as_in_training(name, shape):
    norm, x = randomized(name), values(*shape)
    assert torch.equal(norm(x), norm.eval()(x))
    alone = torch.cat([norm(example[None]) for example in x])
    torch.testing.assert_close(norm(x), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("statistics", [Statistics.running, Statistics.batch, Statistics.initial])
@pytest.mark.parametrize("shape", [(6, 9), (1, 9), (3, 9, 2, 5), (1, 9, 1, 1)])
@every_running
def test_evaluation_changes_no_buffer(name, shape, statistics):
    norm = randomized(name)
    norm(values(6, 9))
    before = {key: value.clone() for key, value in norm.named_buffers()}
    norm.eval().statistics = statistics
    for scale in (1.0, 1e3, torch.inf):
        norm(scale * values(*shape))
    assert all(torch.equal(value, before[key]) for key, value in norm.named_buffers())


@pytest.mark.parametrize("shape", [(6, 9), (3, 9, 2, 5), (1, 9, 3, 1)])
@every_running
def test_evaluation_may_use_the_statistics_of_its_batch_or_the_initial_ones(name, shape):
    norm, x = randomized(name).eval(), 3 * values(*shape) + 2
    state = reference.torch_state(9, eps=EPS)
    gamma, beta = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    forward = reference.batchnorm_forward if x.dim() == 2 else reference.spatial_batchnorm_forward
    norm.statistics = Statistics.initial
    initial_var = state["running_var"] - EPS * (name in OF_DEVIATION)  # the deviation starts at 1
    judge = forward(x.numpy(), gamma, beta, {**state, "running_var": initial_var, "mode": "test"})[0]
    np.testing.assert_allclose(norm(x).detach().numpy(), judge, rtol=1e-12, atol=1e-12)
    norm.statistics = Statistics.batch
    judge = forward(x.numpy(), gamma, beta, state)[0]
    np.testing.assert_allclose(norm(x).detach().numpy(), judge, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(6, 9), (3, 9, 2, 5), (6, 9, 1, 1)])
@every_norm
def test_a_state_saved_and_loaded_evaluates_to_the_same_bits(name, shape, dtype):
    norm = randomized(name, dtype=dtype)
    for step in range(3):
        norm((step + values(*shape, seed=step)).to(dtype))
    loaded = fresh(name, dtype=dtype)
    loaded.load_state_dict(copy.deepcopy(norm.state_dict()))
    x = values(*shape, seed=9).to(dtype)
    assert torch.equal(norm.eval()(x), loaded.eval()(x))
    assert not torch.equal(fresh(name, dtype=dtype).eval()(x), loaded(x))


# A single value per channel, for which the variance with divisor N - 1 does not exist

CONSTANT = ["batch", "batch_divisor_N", "batch_cumulative", "renorm", "renorm_unclipped", "renorm_warming_up"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 9), (1, 9, 1, 1), (1, 9, 3, 2)])
@pytest.mark.parametrize("name", CONSTANT)
def test_a_running_variance_of_single_examples_is_never_nan(name, shape, dtype):
    norm = RUNNING[name](9, eps=EPS, **({} if name == "batch_constant" else {"constant": True})).to(dtype)
    for step in range(20):
        y = norm((1e3 * values(*shape, seed=step)).to(dtype))
        assert y.isfinite().all()
        assert all(value.isfinite().all() for value in norm.buffers())
    if shape[2:] != (3, 2):
        expected = 0.9**20 if name in DIVISOR_N else 1.0  # the divisor N variance is 0, and is blended
        running = norm.running_std if name in OF_DEVIATION else norm.running_var
        if name in OF_DEVIATION:
            expected += (1 - expected) * EPS**0.5
        rounding = {"rtol": 20 * torch.finfo(dtype).eps, "atol": 0.0}
        torch.testing.assert_close(running, torch.full_like(running, expected), **rounding)
    assert norm.eval()(values(*shape).to(dtype)).isfinite().all()


@pytest.mark.parametrize("name", CONSTANT)
def test_a_batch_of_single_values_may_be_followed_by_larger_batches(name):
    norm = RUNNING[name](9, eps=EPS, constant=True).double()
    x = values(6, 9)
    for batch in (values(1, 9, seed=3), x):
        norm(batch)
    divisor = x.var(0, unbiased=name not in DIVISOR_N)
    if name == "batch_cumulative":
        mean, var = (values(1, 9, seed=3)[0] + x.mean(0)) / 2, (1 + divisor) / 2
    else:
        mean = 0.9 * 0.1 * values(1, 9, seed=3)[0] + 0.1 * x.mean(0)
        var = 0.9 * (0.9 if name == "batch_divisor_N" else 1) + 0.1 * divisor
    if name in OF_DEVIATION:
        var = (0.9 * (0.9 + 0.1 * EPS**0.5) + 0.1 * (divisor + EPS).sqrt()).square() - EPS
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(running_variance(norm), var, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("constant", [False, True])
def test_ghost_batches_of_one_value_are_constants_as_in_the_oracle(constant):
    x, norm = values(6, 9), GhostBatchNorm(9, ghost_size=1, eps=EPS, constant=constant).double()
    if not constant:
        with pytest.raises(ValueError, match=r"norm\.single_value=constant"):
            norm(x)
        return
    state = reference.torch_state(9, eps=EPS)
    judge = reference.ghost_batch_norm(x.numpy(), np.ones(9), np.zeros(9), state, ghost_size=1)
    np.testing.assert_allclose(norm(x).detach().numpy(), judge, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.running_mean, state["running_mean"], rtol=1e-12)
    np.testing.assert_allclose(norm.running_var, state["running_var"], rtol=1e-12)


# Random shapes


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(NORMS)),
    N=st.sampled_from([3, 6, 9]),
    thirds=st.integers(1, 7),
    image=st.one_of(st.just(()), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    order=st.permutations(range(4)),
    seed=st.integers(0, 2**16),
)
def test_any_order_of_the_axes_in_memory_gives_the_same_results(name, N, thirds, image, order, seed):
    shape = (N, 3 * thirds, *image)
    order = [axis for axis in order if axis < len(shape)]
    back = [order.index(axis) for axis in range(len(shape))]
    norm = randomized(name, 3 * thirds)
    base = values(*(shape[axis] for axis in order), seed=seed)
    judge = record_of(copy.deepcopy(norm), base, lambda t: t.permute(back).contiguous())
    assert_same(record_of(norm, base, lambda t: t.permute(back)), judge)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(NORMS)),
    parts=st.integers(1, 3),
    thirds=st.integers(1, 5),
    image=st.one_of(st.just(()), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    seed=st.integers(0, 2**16),
)
def test_channels_permuted_with_their_parameters_give_the_output_permuted(name, parts, thirds, image, seed):
    """For group norm, whose groups are neighbouring channels, only whole groups are permuted."""
    C = 3 * thirds
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(C, generator=draw)
    if name == "group":
        order = (3 * torch.randperm(thirds, generator=draw)[:, None] + torch.arange(3)).flatten()
    norm, permuted = randomized(name, C), randomized(name, C)
    permuted.load_state_dict({key: value[order] for key, value in norm.state_dict().items()})
    x = values(3 * parts, C, *image, seed=seed)
    y, z = norm(x), permuted(x[:, order])
    # layer and RMS norm then sum over the channels in another order, with rounding errors of 2e-16
    torch.testing.assert_close(z, y[:, order], rtol=1e-12, atol=1e-12)
    for key, value in norm.state_dict().items():
        torch.testing.assert_close(permuted.state_dict()[key], value[order], rtol=1e-12, atol=1e-12)
