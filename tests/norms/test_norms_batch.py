"""Batch norm, judged by torch.nn and by the formula of the paper in NumPy, in double precision."""

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.config import NormConfig, SingleValue
from bnbench.norms import NORMS, make_norm
from bnbench.norms.batch import BatchNorm

SHAPES = [(2, 5), (7, 5), (3, 5, 2, 4), (1, 5, 3, 1), (4, 5, 1, 1)]


def randomized(norm: nn.Module, seed: int = 0) -> nn.Module:
    """The norm in double precision, with parameters and statistics that are not 0 and 1."""
    g = torch.Generator().manual_seed(seed)
    norm = norm.double()
    with torch.no_grad():
        for value in norm.state_dict().values():
            value.copy_(torch.rand(value.shape, generator=g, dtype=torch.float64) + 0.5)
    return norm


def pair(shape: tuple[int, ...], *, affine: bool = True) -> tuple[BatchNorm, nn.Module]:
    """bnbench's batch norm and torch's, with the same settings, parameters and statistics."""
    ours = randomized(BatchNorm(5, momentum=0.3, eps=1e-3, affine=affine))
    torchs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5, momentum=0.3, eps=1e-3, affine=affine)
    torchs = torchs.double()
    torchs.load_state_dict(ours.state_dict(), strict=False)
    return ours, torchs


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_output_gradients_and_statistics_are_those_of_torch(shape, affine):
    ours, torchs = pair(shape, affine=affine)
    x, weight = values(*shape), values(*shape).cos()
    results = []
    for norm in (ours, torchs):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        y2 = norm(2 * leaf + 1)  # the statistics are blended a second time
        grads = torch.autograd.grad(((y + y2**2) * weight).sum(), [leaf, *norm.parameters()])
        results.append([y, y2, *grads, norm.running_mean, norm.running_var, norm.eval()(x)])
    for actual, judge in zip(*results, strict=True):
        torch.testing.assert_close(actual, judge, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, 0.37, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(7, 5), (64, 100), (3, 16, 2, 4), (8, 48, 7, 7)])
def test_it_has_the_bits_of_torch_on_the_tensor_as_a_pack_stores_it(shape, dtype, momentum):
    C = shape[1]
    ours = BatchNorm(C, momentum=momentum or 0.0, cumulative=momentum is None).to(dtype)
    torchs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(C, momentum=momentum).to(dtype)
    for seed in range(3):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 3 + 1
        if len(shape) == 2:
            actual, judge = ours(x), torchs(x.t()[None].contiguous())[0].t()
        else:
            x = x.contiguous(memory_format=torch.channels_last)
            actual, judge = ours(x), torchs(x)
        assert torch.equal(actual, judge)
        assert torch.equal(ours.running_mean, torchs.running_mean)
        assert torch.equal(ours.running_var, torchs.running_var)


@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_running_statistics_follow_the_paper(shape):
    ours, _ = pair(shape)
    mean_before, var_before = ours.running_mean.numpy().copy(), ours.running_var.numpy().copy()
    x = values(*shape).numpy()
    y = ours(torch.from_numpy(x)).detach().numpy()
    axes = tuple(i for i in range(x.ndim) if i != 1)
    column = (1, 5) + (1,) * (x.ndim - 2)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    gamma, beta = ours.weight.detach().numpy().reshape(column), ours.bias.detach().numpy().reshape(column)
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(var + 1e-3) + beta, rtol=1e-12, atol=1e-12)
    n = x.size // 5
    np.testing.assert_allclose(ours.running_mean, 0.7 * mean_before + 0.3 * mean.ravel(), rtol=1e-12)
    np.testing.assert_allclose(ours.running_var, 0.7 * var_before + 0.3 * var.ravel() * n / (n - 1), rtol=1e-12)


def test_training_output_has_zero_mean_and_unit_variance_per_channel():
    y = BatchNorm(5, eps=1e-12).double()(3 + 4 * values(50, 5, 2, 2))
    mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-12)
    torch.testing.assert_close(var, torch.ones_like(var), rtol=1e-10, atol=0)  # eps / var is about 1e-13


def test_evaluation_uses_the_running_statistics_and_leaves_them_alone():
    norm, _ = pair((3, 5))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = values(3, 5)
    y = norm.eval()(x)
    expected = (x - before["running_mean"]) / (before["running_var"] + 1e-3).sqrt()
    torch.testing.assert_close(y, expected * before["weight"] + before["bias"], rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_a_single_value_per_channel_is_refused_in_training(shape):
    with pytest.raises(ValueError, match=r"norm\.single_value=constant"):
        BatchNorm(5)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_a_single_value_per_channel_is_evaluated(shape):
    norm = BatchNorm(5, eps=1e-12).double().eval()
    torch.testing.assert_close(norm(values(*shape)), values(*shape), rtol=1e-10, atol=0)


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_a_single_value_per_channel_gives_the_bias_with_constant_true(shape):
    norm = randomized(BatchNorm(5, momentum=0.3, constant=True))
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    x = values(*shape).requires_grad_()
    y = norm(x)
    assert torch.equal(y.flatten(), norm.bias)
    torch.testing.assert_close(norm.running_mean, 0.7 * mean + 0.3 * x.detach().flatten(), rtol=1e-12, atol=0)
    assert torch.equal(norm.running_var, var), "the variance of one value with divisor N - 1 does not exist"
    g_x, g_weight, g_bias = torch.autograd.grad(y.sum(), [x, norm.weight, norm.bias])
    assert g_x.count_nonzero() == 0
    assert g_weight.count_nonzero() == 0
    assert torch.equal(g_bias, torch.ones_like(g_bias))


def test_without_affine_a_single_value_gives_zero():
    assert BatchNorm(5, affine=False, constant=True)(torch.ones(1, 5)).count_nonzero() == 0


def test_make_norm_passes_every_setting_on():
    config = NormConfig(name="batch", momentum=0.25, eps=1e-2, affine=False, single_value=SingleValue.constant)
    norm = make_norm(config, 6)
    assert isinstance(norm, BatchNorm)
    assert (norm.features, norm.momenta, norm.eps, norm.constant) == (6, (0.25,), 1e-2, True)
    assert norm.weight is None
    assert make_norm(NormConfig(name="batch"), 6).weight.shape == (6,)
    assert make_norm(NormConfig(name="batch"), 6).constant is False
    assert make_norm(NormConfig(name="none"), 6) is None


@pytest.mark.parametrize("name", NORMS)
def test_removes_shift_is_true_exactly_if_a_bias_before_the_norm_has_no_effect(name):
    config = NormConfig(name=name, groups=2, ghost_size=3)
    x = values(6, 4, 2, 3)
    shift = values(4)[:, None, None]  # a bias for each channel
    norms = [make_norm(config, 4) for _ in range(2)]  # two, for a norm may keep statistics
    y, shifted = (v if norm is None else norm.double()(v) for norm, v in zip(norms, (x, x + shift), strict=True))
    assert torch.allclose(y, shifted, rtol=0, atol=1e-12) == NORMS[name].removes_shift


@pytest.mark.parametrize("name", NORMS)
def test_over_batch_is_true_exactly_if_one_example_changes_the_output_of_another(name):
    config = NormConfig(name=name, groups=2, ghost_size=3)
    x = values(6, 4, 2, 3)
    other = x.clone()
    other[1] = 7
    norms = [make_norm(config, 4) for _ in range(2)]  # two, for a norm may keep statistics
    y, z = (v if norm is None else norm.double()(v) for norm, v in zip(norms, (x, other), strict=True))
    assert torch.equal(y[0], z[0]) == (not NORMS[name].over_batch)
