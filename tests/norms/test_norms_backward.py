"""The backward pass of every norm: gradients are the slopes of the output, and some components of them are zero."""

import copy

import pytest
import torch
from torch import Tensor, nn

from bnbench.config import Statistics
from bnbench.norms.batch import BatchNorm
from bnbench.norms.filter_response import FilterResponseNorm
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bnbench.norms.renorm import BatchRenorm

# An odd number of channels, in three groups of three; two ghost batches of three examples.
C, N = 9, 6
NORMS = {
    "batch": lambda **kw: BatchNorm(C, **kw),
    "batch_divisor_N": lambda **kw: BatchNorm(C, unbiased=False, **kw),
    "batch_cumulative": lambda **kw: BatchNorm(C, cumulative=True, **kw),
    "ghost": lambda **kw: GhostBatchNorm(C, ghost_size=3, **kw),
    # The gradient takes r and d for constants. Clipped they are constant, which the statistics of `randomized` ensure.
    "renorm_clipped": lambda **kw: BatchRenorm(C, r_max=1.01, d_max=0.01, **kw),
    "renorm_without_room": lambda **kw: BatchRenorm(C, r_max=1.0, d_max=0.0, **kw),
    "layer": lambda **kw: LayerNorm(C, **kw),
    "instance": lambda **kw: InstanceNorm(C, **kw),
    "group": lambda **kw: GroupNorm(C, groups=3, **kw),
    "rms": lambda **kw: RMSNorm(C, **kw),
    "filter_response": lambda **kw: FilterResponseNorm(C, **kw),
}
RUNNING = ["batch", "batch_divisor_N", "batch_cumulative", "ghost", "renorm_clipped", "renorm_without_room"]
SHAPES = [(N, C), (N, C, 1, 1), (N, C, 2, 1), (3, C, 1, 3)]
over_shapes = pytest.mark.parametrize("shape", SHAPES)


def values(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomized(name: str, *, eps: float = 1e-2, affine: bool = True) -> nn.Module:
    norm = NORMS[name](eps=eps, affine=affine).double()
    with torch.no_grad():
        for i, (key, value) in enumerate(norm.state_dict().items()):
            random_values = values(*value.shape, seed=10 + i)
            value.copy_(1 + random_values.abs() if key in ("running_var", "running_std") else random_values)
        if name == "renorm_clipped":  # so far from any batch that r and d are clipped
            norm.running_mean.fill_(-100)
            norm.running_std.fill_(0.2)
    return norm


def as_function(norm: nn.Module):
    """The norm as a function of input and parameters that keeps no state from call to call, and its parameters."""
    names = list(dict(norm.named_parameters()))

    def call(x: Tensor, *parameters: Tensor) -> Tensor:
        fresh = copy.deepcopy(norm)
        return torch.func.functional_call(fresh, dict(zip(names, parameters, strict=True)), (x,))

    return call, [p.detach().clone().requires_grad_() for p in norm.parameters()]


def is_slope(call, inputs: list[Tensor]) -> bool:
    """Whether gradients are the numeric slopes. A missing upstream gradient is not tested: no network has one."""
    return torch.autograd.gradcheck(call, inputs, check_undefined_grad=False, nondet_tol=0)


@over_shapes
@pytest.mark.parametrize("name", NORMS)
def test_training_gradients_are_the_slopes_of_the_output(name, shape):
    call, parameters = as_function(randomized(name))
    assert is_slope(call, [(2 * values(*shape)).requires_grad_(), *parameters])


@pytest.mark.parametrize("statistics", [Statistics.running, Statistics.batch, Statistics.initial])
@pytest.mark.parametrize("shape", SHAPES[1:3])
@pytest.mark.parametrize("name", RUNNING)
def test_evaluation_gradients_are_the_slopes_of_the_output(name, shape, statistics):
    norm = randomized(name).eval()
    norm.statistics = statistics
    call, parameters = as_function(norm)
    assert is_slope(call, [values(*shape).requires_grad_(), *parameters])


def input_gradient(norm: nn.Module, x: Tensor, dout: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(norm(leaf), leaf, dout)
    return gradient


def normalized_axes(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape to view the input in, and the axes of that view over which values are normalized together."""
    n, positions = shape[0], shape[2:]
    if name in ("batch", "batch_divisor_N", "batch_cumulative", "renorm_clipped", "renorm_without_room"):
        return shape, (0, *range(2, len(shape)))
    if name == "ghost":
        return (n // 3, 3, C, *positions), (1, *range(3, len(shape) + 1))
    groups = {"layer": 1, "rms": 1, "group": 3, "instance": C}[name]
    return (n, groups, C // groups, *positions), tuple(range(2, len(shape) + 1))


@over_shapes
@pytest.mark.parametrize("name", [name for name in NORMS if name not in ("rms", "filter_response")])
def test_the_input_gradient_of_a_centering_norm_sums_to_zero_over_the_values_it_averages(name, shape):
    view, axes = normalized_axes(name, shape)
    gradient = input_gradient(randomized(name), 2 * values(*shape) + 1, values(*shape, seed=2))
    sums = gradient.reshape(view).sum(axes)
    torch.testing.assert_close(sums, torch.zeros_like(sums), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES[2:])  # on one position there is no deviation to divide by
@pytest.mark.parametrize("name", [name for name in NORMS if name != "filter_response"])
def test_without_eps_no_gradient_points_along_the_input(name, shape):
    """The output does not depend on the scale of values that are normalized together: its slope along them is zero."""
    norm = randomized(name, eps=1e-30)  # torch's batch norm refuses 0
    x = 2 * values(*shape) + 1
    view, axes = normalized_axes(name, shape)
    gradient = input_gradient(norm, x, values(*shape, seed=2))
    along = (gradient * x).reshape(view).sum(axes)
    # two positions may have a deviation of 0.05: gradients of 20, rounded by 20 * 2e-16, are multiplied by a few x
    torch.testing.assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-12)


def renorm_parts(x: Tensor, norm: BatchRenorm, limits: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """The standardized input, r and d of batch renorm, through all of which gradients flow."""
    axes = (0, *range(2, x.dim()))
    mean = x.mean(axes, keepdim=True)
    sigma = (((x - mean) ** 2).mean(axes, keepdim=True) + norm.eps).sqrt()
    column = (1, C) + (1,) * (x.dim() - 2)
    running = norm.running_std.view(column)
    r = (sigma / running).clip(1 / limits[0], limits[0])
    d = ((mean - norm.running_mean.view(column)) / running).clip(-limits[1], limits[1])
    return (x - mean) / sigma, r, d


@over_shapes
def test_renorm_passes_no_gradient_through_its_correction(shape):
    renorm = BatchRenorm(C, r_max=1e9, d_max=1e9, eps=1e-2, affine=False).double()
    renorm.load_state_dict(randomized("renorm_without_room", affine=False).state_dict())
    x, dout = values(*shape), values(*shape, seed=2)
    leaf = x.clone().requires_grad_()
    y, r, d = renorm_parts(leaf, renorm, (1e9, 1e9))
    (stopped,) = torch.autograd.grad(y * r.detach() + d.detach(), leaf, dout, retain_graph=True)
    (flowing,) = torch.autograd.grad(y * r + d, leaf, dout)
    gradient = input_gradient(renorm, x, dout)
    torch.testing.assert_close(gradient, stopped, rtol=1e-12, atol=1e-12)
    assert (gradient - flowing).abs().max() > 0.01


@over_shapes
@pytest.mark.parametrize("name", NORMS)
def test_the_gradient_of_a_sum_is_that_of_a_tensor_of_ones(name, shape):
    """The gradient of `sum` is one number expanded, a tensor whose strides are zero."""
    x = values(*shape)
    judge_norm = copy.deepcopy(norm := randomized(name))
    leaf = x.clone().requires_grad_()
    grads = torch.autograd.grad(norm(leaf).sum(), [leaf, *norm.parameters()])
    leaf = x.clone().requires_grad_()
    judges = torch.autograd.grad(judge_norm(leaf), [leaf, *judge_norm.parameters()], torch.ones_like(x))
    for actual, judge in zip(grads, judges, strict=True):
        torch.testing.assert_close(actual, judge, rtol=1e-12, atol=1e-12)


@over_shapes
@pytest.mark.parametrize("name", NORMS)
def test_frozen_parameters_get_no_gradient_and_change_none(name, shape):
    x, dout = values(*shape), values(*shape, seed=2)
    norm, frozen = randomized(name), randomized(name).requires_grad_(False)
    torch.testing.assert_close(input_gradient(frozen, x, dout), input_gradient(norm, x, dout), rtol=1e-12, atol=1e-12)
    assert not frozen(x).requires_grad


def test_filter_response_passes_the_gradient_to_its_threshold_for_outputs_below_it():
    norm = randomized("filter_response")
    x, dout = values(N, C, 2, 3), values(N, C, 2, 3, seed=2)
    leaf = x.clone().requires_grad_()
    y = norm(leaf)
    g_x, g_threshold = torch.autograd.grad(y, [leaf, norm.threshold], dout)
    cut = y == norm.threshold[:, None, None]
    assert 0 < cut.sum() < cut.numel()
    torch.testing.assert_close(g_threshold, (dout * cut).sum((0, 2, 3)), rtol=1e-12, atol=1e-12)
    below = cut.all(3).all(2)  # maps that lie wholly below the threshold
    assert g_x[below].count_nonzero() == 0


def test_filter_response_uses_the_absolute_value_of_its_learned_eps():
    norm, mirrored = randomized("filter_response"), randomized("filter_response")
    with torch.no_grad():
        mirrored.learned_eps.neg_()
    x, dout = values(N, C, 2, 3), values(N, C, 2, 3, seed=2)
    y, z = norm(x), mirrored(x)
    assert torch.equal(y, z)
    (g,), (h,) = (torch.autograd.grad(out, n.learned_eps, dout) for out, n in ((y, norm), (z, mirrored)))
    assert g.count_nonzero() > C / 2, "a channel that lies wholly below the threshold has no gradient"
    assert torch.equal(g, -h)
