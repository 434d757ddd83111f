"""Batch renorm and ghost batch norm in NumPy, judged by batch norm, by loops and by autograd."""

import numpy as np
import pytest
import torch

from bnbench.reference import (
    batch_renorm,
    batchnorm_backward,
    batchnorm_forward,
    ghost_batch_norm,
    renorm_correction,
    spatial_batchnorm_forward,
    torch_state,
)

GAMMA, BETA = np.array([2.0, -3.0, 0.5]), np.array([0.1, -0.2, 0.3])
MEAN, STD = np.array([0.5, -1.0, 0.0]), np.array([1.5, 0.7, 2.0])


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def renorm(x, *, mode="train", r_max=3.0, d_max=5.0, momentum=0.01, eps=1e-3, mean=MEAN, std=STD):
    return batch_renorm(x, GAMMA, BETA, mean, std, mode=mode, momentum=momentum, eps=eps, r_max=r_max, d_max=d_max)


def batch_norm(x: np.ndarray) -> np.ndarray:
    forward = batchnorm_forward if x.ndim == 2 else spatial_batchnorm_forward
    return forward(x, GAMMA, BETA, torch_state(3, eps=1e-3))[0]


@pytest.mark.parametrize("shape", [(2, 3), (8, 3), (2, 3, 4, 2)])
def test_batch_renorm_follows_the_paper_value_by_value(shape):
    x = 4 * values(*shape) + 1  # far enough from MEAN and STD for r and d to be clipped in places
    y, mean, std = renorm(x, r_max=1.5, d_max=0.4, momentum=0.25)
    clipped = []
    for c in range(3):
        v = x[:, c]
        mu, sigma = v.sum() / v.size, np.sqrt(((v - v.sum() / v.size) ** 2).sum() / v.size + 1e-3)
        r = min(max(sigma / STD[c], 1 / 1.5), 1.5)
        d = min(max((mu - MEAN[c]) / STD[c], -0.4), 0.4)
        clipped += [r in (1 / 1.5, 1.5), d in (-0.4, 0.4)]
        np.testing.assert_allclose(y[:, c], GAMMA[c] * ((v - mu) / sigma * r + d) + BETA[c], rtol=1e-12, atol=1e-12)
        assert mean[c] == pytest.approx(0.75 * MEAN[c] + 0.25 * mu, rel=1e-12)
        assert std[c] == pytest.approx(0.75 * STD[c] + 0.25 * sigma, rel=1e-12)
    assert any(clipped)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 2)])
def test_unclipped_batch_renorm_gives_the_same_in_train_and_test_mode(shape):
    x = values(*shape)
    y, _, _ = renorm(x, r_max=1e9, d_max=1e9)
    test, mean, std = renorm(x, mode="test")
    np.testing.assert_allclose(y, test, rtol=1e-12, atol=1e-12)
    column = (3,) + (1,) * (len(shape) - 2)
    judge = (x - MEAN.reshape(column)) / STD.reshape(column) * GAMMA.reshape(column) + BETA.reshape(column)
    np.testing.assert_allclose(test, judge, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(mean, MEAN)
    np.testing.assert_array_equal(std, STD)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 2)])
def test_batch_renorm_with_limits_of_no_correction_is_batch_norm(shape):
    x = values(*shape)
    np.testing.assert_allclose(renorm(x, r_max=1, d_max=0)[0], batch_norm(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_batch_renorm_is_defined_on_one_value_per_channel(shape):
    x = values(*shape)
    y, _, std = renorm(x, d_max=1e9)
    np.testing.assert_allclose(y.ravel(), GAMMA * (x.ravel() - MEAN) / STD + BETA, rtol=1e-12)
    assert np.isfinite(std).all()


def test_gradients_through_batch_renorm_are_those_of_batch_norm_times_r():
    x, dout = 2 * values(6, 3), values(6, 3, seed=1)
    leaf = torch.from_numpy(x).requires_grad_()
    mean, std = leaf.mean(0), (leaf.var(0, unbiased=False) + 1e-3).sqrt()
    limits = {"r_max": 1.5, "d_max": 0.4}
    # no gradient flows through r and d, which are NumPy arrays here
    r, d = renorm_correction(mean.detach().numpy(), std.detach().numpy(), MEAN, STD, **limits)
    y = ((leaf - mean) / std * torch.from_numpy(r) + torch.from_numpy(d)) * torch.from_numpy(GAMMA)
    y = y + torch.from_numpy(BETA)
    np.testing.assert_allclose(renorm(x, **limits)[0], y.detach().numpy(), rtol=1e-12, atol=1e-12)
    _, cache = batchnorm_forward(x, GAMMA * r, BETA, torch_state(3, eps=1e-3))
    (judge,) = torch.autograd.grad(y, leaf, torch.from_numpy(dout))
    np.testing.assert_allclose(batchnorm_backward(dout, cache)[0], judge.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("limits", "message"), [((0.5, 1), "r_max=0.5"), ((1, -1), "d_max=-1"), ((np.nan, 1), "r_max")]
)
def test_reversed_renorm_limits_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        renorm(values(4, 3), r_max=limits[0], d_max=limits[1])


def test_batch_renorm_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match=r"mode='eval'.*train, test"):
        renorm(values(4, 3), mode="eval")


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 2, 4)])
@pytest.mark.parametrize("ghost_size", [2, 3])
def test_each_ghost_batch_is_normalized_by_itself(shape, ghost_size):
    x = values(*shape) + np.arange(6.0).reshape(6, *[1] * (len(shape) - 1))  # so that ghost batches differ
    y = ghost_batch_norm(x, GAMMA, BETA, torch_state(3, eps=1e-3), ghost_size=ghost_size)
    axes = (0, *range(2, len(shape)))
    column = (1, 3) + (1,) * (len(shape) - 2)
    for start in range(0, 6, ghost_size):
        part = x[start : start + ghost_size]
        x_hat = (part - part.mean(axes, keepdims=True)) / np.sqrt(part.var(axes, keepdims=True) + 1e-3)
        judge = GAMMA.reshape(column) * x_hat + BETA.reshape(column)
        np.testing.assert_allclose(y[start : start + ghost_size], judge, rtol=1e-12, atol=1e-12)


def test_ghost_batches_are_blended_one_after_the_other():
    x, state = values(6, 3) + np.arange(6.0)[:, None], torch_state(3, momentum=0.25)
    ghost_batch_norm(x, GAMMA, BETA, state, ghost_size=2)
    parts = [x[:2], x[2:4], x[4:]]
    weights = [0.25 * 0.75**2, 0.25 * 0.75, 0.25]  # the last one has the largest weight
    mean = sum(w * part.mean(axis=0) for w, part in zip(weights, parts, strict=True))
    var = 0.75**3 + sum(w * part.var(axis=0, ddof=1) for w, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(state["running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(state["running_var"], var, rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 2, 4)])
def test_a_ghost_batch_of_the_whole_batch_is_batch_norm(shape):
    x = values(*shape)
    y = ghost_batch_norm(x, GAMMA, BETA, torch_state(3, eps=1e-3), ghost_size=6)
    np.testing.assert_array_equal(y, batch_norm(x))


def test_ghost_size_does_not_matter_in_test_mode():
    x, state = values(5, 3), torch_state(3, mode="test", eps=1e-3)
    y = ghost_batch_norm(x, GAMMA, BETA, state, ghost_size=2)
    np.testing.assert_allclose(y, GAMMA * x / np.sqrt(1.001) + BETA, rtol=1e-12, atol=1e-14)


def test_ghost_batches_of_one_example_give_beta():
    y = ghost_batch_norm(values(4, 3), GAMMA, BETA, torch_state(3), ghost_size=1)
    np.testing.assert_array_equal(y, np.tile(BETA, (4, 1)))


@pytest.mark.parametrize("ghost_size", [0, 4, 12])
def test_a_ghost_size_that_does_not_divide_the_batch_is_refused(ghost_size):
    with pytest.raises(ValueError, match=f"ghost_size={ghost_size} does not divide a batch of 6"):
        ghost_batch_norm(values(6, 3), GAMMA, BETA, torch_state(3), ghost_size=ghost_size)
