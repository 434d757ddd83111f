"""Noisy batch norm: batch norm plus noise of the stated distribution, which depends on its seed and step alone."""

import pytest
import torch

from bnbench.norms.batch import BatchNorm
from bnbench.norms.noisy import NoisyBatchNorm
from bnbench.tensors.seeding import generator


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(0, "test"))


def noisy(features: int, seed: int = 1, **settings) -> NoisyBatchNorm:
    norm = NoisyBatchNorm(features, **settings).double()
    norm.reseed(seed)
    return norm


def noise_of(norm: NoisyBatchNorm, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """m and s of one step, found from two outputs: with gamma 0 the output is beta * s + m."""
    twin = noisy(norm.features, int(norm.seeds[0]), shift=norm.shift, scale=norm.scale)
    twin.steps.copy_(norm.steps)
    with torch.no_grad():
        for layer, beta in ((norm, 0.0), (twin, 1.0)):
            layer.weight.zero_()
            layer.bias.fill_(beta)
    m = norm(x).detach()
    return m, twin(x).detach() - m


@pytest.mark.parametrize("shape", [(64, 3), (8, 3, 4, 2)])
def test_apart_from_its_noise_it_is_batch_norm(shape):
    x = inputs(*shape)
    judge = BatchNorm(3).double()
    assert torch.equal(noisy(3).eval()(x), judge.eval()(x))
    m, s = noise_of(noisy(3), x)
    torch.testing.assert_close(noisy(3)(x), judge.train()(x) * s + m, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(500, 40), (500, 40, 2, 2)])
def test_noise_has_the_stated_distribution(shape):
    m, s = noise_of(noisy(40, shift=0.5, scale=1.25), inputs(*shape))
    mu, sigma = (t.transpose(0, 1).flatten(1).mean(1) for t in (m, s))  # by channel
    assert mu.abs().max() <= 0.5
    assert mu.std() == pytest.approx(0.5 / 3**0.5, rel=0.3), "uniform in ±0.5"
    assert 0.98 <= sigma.min() <= sigma.max() <= 1.27
    assert sigma.mean() == pytest.approx(1.125, abs=0.04)
    spread_m = m.transpose(0, 1).flatten(1) - mu[:, None]
    assert spread_m.abs().max() <= 0.11
    assert spread_m.std() == pytest.approx(0.1 / 3**0.5, rel=0.03)
    assert (s.transpose(0, 1).flatten(1) - sigma[:, None]).std() == pytest.approx(0.1, rel=0.03)


def test_noise_changes_with_the_step_and_with_the_seed_and_repeats():
    x = inputs(6, 4)
    norm = noisy(4)
    first, second = norm(x), norm(x)
    assert not torch.equal(first, second)
    assert torch.equal(noisy(4)(x), first)
    assert not torch.equal(noisy(4, seed=2)(x), first)


def test_the_gradient_is_that_of_batch_norm_times_the_factor():
    x = inputs(6, 4).requires_grad_()
    dout = inputs(6, 4).flip(0)
    _, s = noise_of(noisy(4), x.detach())
    (plain,) = torch.autograd.grad(BatchNorm(4).double()(x), x, dout * s)
    (actual,) = torch.autograd.grad(noisy(4)(x), x, dout)
    torch.testing.assert_close(actual, plain, rtol=1e-10, atol=1e-12)


def test_each_folded_trial_gets_the_noise_of_its_seed():
    x = [inputs(6, 3) + k for k in range(3)]
    folded = NoisyBatchNorm.fold([noisy(3, seed) for seed in (5, 6, 7)])
    together = folded(torch.cat(x, 1))
    for k, seed in enumerate((5, 6, 7)):
        torch.testing.assert_close(together[:, 3 * k : 3 * k + 3], noisy(3, seed)(x[k]), rtol=1e-12, atol=1e-12)
