"""Hand-written batch norm, frozen batch norm and standardized weights, each judged by two judges."""

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.config import Impl, NormConfig, Preset, Statistics
from bnbench.norms import make_norm
from bnbench.norms.batch import BatchNorm
from bnbench.norms.frozen import FrozenBatchNorm
from bnbench.norms.manual import ManualBatchNorm
from bnbench.norms.standardized_weights import WEIGHT_EPS, StandardizedConv2d, StandardizedLinear
from bnbench.packing.leaves import RULES
from bnbench.reference import (
    batchnorm_backward,
    batchnorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    tutorial_state,
    weight_standardization,
)
from bnbench.tensors.seeding import generator

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed, "test"))


def randomized(norm: nn.Module) -> nn.Module:
    with torch.no_grad():
        for seed, parameter in enumerate(norm.parameters(), start=50):
            parameter.copy_(values(*parameter.shape, seed=seed))
    return norm


@pytest.mark.parametrize("shape", [(5, 3), (2, 3), (4, 3, 2, 5), (1, 3, 2, 2), (6, 3, 1, 1)])
@pytest.mark.parametrize("preset", Preset)
def test_manual_and_native_batch_norm_agree_over_training_and_inference(shape, preset):
    config = {"name": "batch", "preset": preset}
    native = randomized(make_norm(NormConfig(**config), 3).double())
    manual = make_norm(NormConfig(**config, impl=Impl.manual), 3).double()
    assert type(manual) is ManualBatchNorm
    manual.load_state_dict(native.state_dict())
    for step in range(3):
        x = 1e4 + values(*shape, seed=step)
        results = []
        for norm in (native, manual):
            leaf = x.clone().requires_grad_()
            y = norm.train()(leaf)
            norm.zero_grad()
            y.backward(values(*shape, seed=9))
            results.append([y, leaf.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
        for a, b in zip(*results, strict=True):
            # An offset of 1e4 costs four of the sixteen digits.
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-9)
        for statistics in Statistics:
            for norm in (native, manual):
                norm.eval().statistics = statistics
            torch.testing.assert_close(native(x), manual(x), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 5)])
def test_manual_batch_norm_with_the_keras_preset_is_that_of_the_numpy_tutorial(shape):
    manual = randomized(make_norm(NormConfig(name="batch", impl=Impl.manual, preset=Preset.keras), 3).double())
    state = tutorial_state(3, eps=1e-3, momentum=0.01)
    state["running_var"] = np.ones(3)  # TensorFlow's population variance starts at 1
    forward, backward = (
        (batchnorm_forward, batchnorm_backward)
        if len(shape) == 2
        else (spatial_batchnorm_forward, spatial_batchnorm_backward)
    )
    gamma, beta = manual.weight.detach().numpy(), manual.bias.detach().numpy()
    for step in range(3):
        x = values(*shape, seed=step).requires_grad_()
        y = manual(x)
        y.backward(values(*shape, seed=7))
        expected, cache = forward(x.detach().numpy(), gamma, beta, state)
        np.testing.assert_allclose(y.detach().numpy(), expected, **CLOSE)
        dx, _, _ = backward(values(*shape, seed=7).numpy(), cache)
        np.testing.assert_allclose(x.grad.numpy(), dx, **CLOSE)
    np.testing.assert_allclose(manual.running_mean.numpy(), state["running_mean"], **CLOSE)
    np.testing.assert_allclose(manual.running_var.numpy(), state["running_var"], **CLOSE)


@pytest.mark.parametrize("shape", [(1, 3), (5, 3), (1, 3, 1, 1), (4, 3, 2, 5)])
def test_frozen_batch_norm_is_the_same_affine_map_in_training_and_evaluation(shape):
    norm = randomized(FrozenBatchNorm(3, eps=1e-3).double())
    mean, var = values(3, seed=1), values(3, seed=2).square() + 0.1
    norm.set_population(mean, var)
    x = values(*shape).requires_grad_()
    judge = nn.BatchNorm1d(3, eps=1e-3) if len(shape) == 2 else nn.BatchNorm2d(3, eps=1e-3)
    judge = judge.double().eval()
    judge.load_state_dict(norm.state_dict(), strict=False)
    state = tutorial_state(3, mode="test", eps=1e-3)
    state["running_mean"], state["running_var"] = mean.numpy(), var.numpy()
    gamma, beta = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    forward = batchnorm_forward if len(shape) == 2 else spatial_batchnorm_forward
    oracle, _ = forward(x.detach().numpy(), gamma, beta, state)
    for y in (norm.train()(x), norm.eval()(x)):
        torch.testing.assert_close(y, judge(x), **CLOSE)
        np.testing.assert_allclose(y.detach().numpy(), oracle, **CLOSE)
    dout = values(*shape, seed=3)
    actual_grads = torch.autograd.grad(norm.train()(x), [x, norm.weight, norm.bias], dout)
    judge_grads = torch.autograd.grad(judge(x), [x, judge.weight, judge.bias], dout)
    for a, b in zip(actual_grads, judge_grads, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    assert torch.equal(norm.running_mean, mean)
    assert torch.equal(norm.running_var, var)


def test_batch_norm_keeps_the_precise_statistics_beside_the_running_ones():
    norm = BatchNorm(3).double().eval()
    norm.set_population(torch.full((3,), 2.0), torch.full((3,), 4.0))
    x = values(4, 3)
    torch.testing.assert_close(norm(x), x / (1 + 1e-5) ** 0.5, **CLOSE)
    norm.statistics = Statistics.precise
    torch.testing.assert_close(norm(x), (x - 2) / (4 + 1e-5) ** 0.5, **CLOSE)


def layers() -> list[tuple[nn.Module, nn.Module, torch.Tensor]]:
    """Triples of a standardized layer, a plain layer of the same shape, and an input."""
    return [
        (StandardizedLinear(7, 5), nn.Linear(7, 5), values(3, 7)),
        (StandardizedConv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1), values(2, 3, 4, 5)),
        (StandardizedConv2d(3, 5, 3, stride=2, padding=1), nn.Conv2d(3, 5, 3, stride=2, padding=1), values(2, 3, 1, 1)),
    ]


@pytest.mark.parametrize("index", range(3))
def test_a_standardized_layer_is_the_plain_one_with_the_oracle_s_weight(index):
    layer, plain, x = layers()[index]
    layer, plain = randomized(layer.double()), plain.double()
    weight = weight_standardization(layer.weight.detach().numpy(), eps=WEIGHT_EPS)
    with torch.no_grad():
        plain.weight.copy_(torch.from_numpy(weight))
        plain.bias.copy_(layer.bias)
    torch.testing.assert_close(layer(x), plain(x), **CLOSE)


@pytest.mark.parametrize("index", range(3))
def test_its_gradient_is_that_of_the_formula_by_autograd(index):
    layer, plain, x = layers()[index]
    layer, plain = randomized(layer.double()), plain.double()
    weight = layer.weight.detach().clone().requires_grad_()
    axes = tuple(range(1, weight.dim()))
    mean = weight.mean(axes, keepdim=True)
    scaled = (weight - mean) / ((weight - mean).square().mean(axes, keepdim=True) + WEIGHT_EPS).sqrt()
    judged = torch.func.functional_call(plain, {"weight": scaled, "bias": layer.bias}, x)
    dout = values(*judged.shape, seed=4)
    (expected,) = torch.autograd.grad(judged, weight, dout)
    (actual,) = torch.autograd.grad(layer(x), layer.weight, dout)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(actual.sum(axes), torch.zeros(5).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("K", [2, 3])
def test_folded_standardized_layers_give_the_results_of_the_lone_ones(index, K):
    lone = [randomized(layers()[index][0].double()) for _ in range(K)]
    with torch.no_grad():
        for k, layer in enumerate(lone):
            layer.weight.mul_(k + 1).add_(0.1 * values(*layer.weight.shape, seed=k))
    x = [layers()[index][2] + k for k in range(K)]
    folded = RULES[type(lone[0])](lone)
    together = folded(torch.cat(x, 1))
    dout = values(*together.shape, seed=5)
    together.backward(dout)
    for k, (layer, part) in enumerate(zip(lone, dout.chunk(K, 1), strict=True)):
        y = layer(x[k])
        y.backward(part)
        torch.testing.assert_close(together.chunk(K, 1)[k], y, **CLOSE)
        torch.testing.assert_close(folded.weight.grad[k], layer.weight.grad, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(folded.bias.grad[k], layer.bias.grad, rtol=1e-11, atol=1e-12)
