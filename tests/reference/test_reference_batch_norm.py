"""NumPy batch norm forward and backward, judged by torch, a staged backward pass and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnbench.reference import (
    batchnorm_backward,
    batchnorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    torch_state,
    tutorial_state,
)

SHAPES = [(2, 3), (7, 5), (33, 1), (1, 3, 2, 2), (3, 5, 1, 4), (4, 2, 1, 1)]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def passes(x: np.ndarray):
    """Forward and backward for an input of this shape."""
    if x.ndim == 2:
        return batchnorm_forward, batchnorm_backward
    return spatial_batchnorm_forward, spatial_batchnorm_backward


def torch_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, eps: float, momentum: float) -> nn.Module:
    norm = (nn.BatchNorm1d if x.ndim == 2 else nn.BatchNorm2d)(x.shape[1], eps=eps, momentum=momentum).double()
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(gamma))
        norm.bias.copy_(torch.from_numpy(beta))
    return norm


def assert_agrees_with_torch(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dout: np.ndarray, *, rtol: float
) -> None:
    """Compare outputs, gradients and statistics of two training passes and one in test mode with those of torch."""
    forward, backward = passes(x)
    state = torch_state(x.shape[1], eps=1e-3, momentum=0.3)
    norm = torch_norm(x, gamma, beta, eps=1e-3, momentum=0.3)
    for batch, mode in ((x, "train"), (2 * x + 1, "train"), (x, "test")):
        state["mode"] = mode
        y, cache = forward(batch, gamma, beta, state)
        grads = backward(dout, cache)
        leaf = torch.from_numpy(batch.copy()).requires_grad_()
        judge = norm.train(mode == "train")(leaf)
        judges = torch.autograd.grad(judge, [leaf, norm.weight, norm.bias], torch.from_numpy(dout))
        pairs = [(y, judge), *zip(grads, judges, strict=True)]
        pairs += [(state["running_mean"], norm.running_mean), (state["running_var"], norm.running_var)]
        for ours, torchs in pairs:
            assert ours.shape == tuple(torchs.shape)
            scale = max(1, np.abs(dout).max() if dout.size else 1)
            np.testing.assert_allclose(ours, torchs.detach().numpy(), rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_output_gradients_and_statistics_are_those_of_torch(shape):
    c = shape[1]
    assert_agrees_with_torch(values(*shape), values(c, seed=1), values(c, seed=2), values(*shape, seed=3), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.one_of(
        st.tuples(st.integers(2, 9), st.integers(1, 5)),
        st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    ),
    offset=st.sampled_from([0.0, 3.0, -1e4]),
    seed=st.integers(0, 2**16),
)
def test_random_shapes_and_offsets_agree_with_torch(shape, offset, seed):
    c = shape[1]
    x, dout = values(*shape, seed=seed) + offset, values(*shape, seed=seed + 1)
    # A mean of 1e4 is rounded by 1e-12. An output multiplies that by 1 / sqrt(eps) = 32 at most, a gradient once more
    # for each further power of 1 / std.
    rtol = 1e-12 if offset > -1e4 else 1e-8
    assert_agrees_with_torch(x, values(c, seed=seed + 2), values(c, seed=seed + 3), dout, rtol=rtol)


def staged_backward(x: np.ndarray, gamma: np.ndarray, dout: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
    """The gradients in train mode for (N, C), computed one node of the computational graph after the other."""
    n = len(x)
    mean = x.sum(axis=0) / n
    centred = x - mean
    variance = (centred**2).sum(axis=0) / n
    std = np.sqrt(variance + eps)
    inverse = 1 / std
    x_hat = centred * inverse
    # the backward pass; y = gamma * x_hat + beta
    d_beta, d_gamma, d_x_hat = dout.sum(axis=0), (dout * x_hat).sum(axis=0), dout * gamma
    d_inverse = (d_x_hat * centred).sum(axis=0)  # x_hat = centred * inverse
    d_std = -d_inverse / std**2  # inverse = 1 / std
    d_variance = 0.5 * d_std / std  # std = sqrt(variance + eps)
    d_square = np.ones_like(x) / n * d_variance  # variance = mean of squares
    d_centred = d_x_hat * inverse + 2 * centred * d_square  # its gradient arrives on two paths
    d_mean = -d_centred.sum(axis=0)  # centred = x - mean
    d_x = d_centred + np.ones_like(x) / n * d_mean  # mean = sum / n
    return d_x, d_gamma, d_beta


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (9, 4)])
def test_the_closed_form_is_the_staged_computational_graph(shape):
    x, gamma, dout = values(*shape), values(shape[1], seed=1), values(*shape, seed=2)
    _, cache = batchnorm_forward(x, gamma, np.zeros(shape[1]), torch_state(shape[1]))
    for closed, staged in zip(batchnorm_backward(dout, cache), staged_backward(x, gamma, dout, 1e-5), strict=True):
        np.testing.assert_allclose(closed, staged, rtol=1e-12, atol=1e-12)


def numeric_gradient(loss, at: np.ndarray, h: float = 1e-5) -> np.ndarray:
    gradient = np.empty_like(at)
    for index in np.ndindex(*at.shape):
        step = np.zeros_like(at)
        step[index] = h
        gradient[index] = (loss(at + step) - loss(at - step)) / (2 * h)
    return gradient


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 2)])
def test_gradients_are_the_slopes_of_the_output(shape, mode):
    forward, backward = passes(np.empty(shape))
    x, gamma, beta, dout = values(*shape), values(3, seed=1), values(3, seed=2), values(*shape, seed=3)

    def loss(x=x, gamma=gamma, beta=beta):
        return (forward(x, gamma, beta, torch_state(3, mode=mode, eps=1e-2))[0] * dout).sum()

    dx, dgamma, dbeta = backward(dout, forward(x, gamma, beta, torch_state(3, mode=mode, eps=1e-2))[1])
    # central differences have errors of h² = 1e-10 and of rounding / h = 1e-11
    np.testing.assert_allclose(dx, numeric_gradient(lambda at: loss(x=at), x), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(dgamma, numeric_gradient(lambda at: loss(gamma=at), gamma), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(dbeta, numeric_gradient(lambda at: loss(beta=at), beta), rtol=1e-7, atol=1e-8)


def test_training_output_has_mean_beta_and_deviation_gamma():
    gamma, beta = np.array([2.0, 3.0]), np.array([-1.0, 5.0])
    y, _ = batchnorm_forward(10 + 4 * values(50, 2), gamma, beta, torch_state(2, eps=1e-12))
    np.testing.assert_allclose(y.mean(axis=0), beta, rtol=1e-12)
    np.testing.assert_allclose(y.std(axis=0), gamma, rtol=1e-10)  # eps / variance is about 1e-13


def test_an_image_is_normalized_like_its_pixels_in_a_table():
    x, gamma, beta = values(3, 2, 4, 5), np.array([2.0, 3.0]), np.array([-1.0, 5.0])
    state, rows_state = torch_state(2), torch_state(2)
    y, _ = spatial_batchnorm_forward(x, gamma, beta, state)
    table = np.stack([x[:, c].ravel() for c in range(2)], axis=1)  # (N*H*W, C)
    rows, _ = batchnorm_forward(table, gamma, beta, rows_state)
    for c in range(2):
        np.testing.assert_allclose(y[:, c].ravel(), rows[:, c], rtol=1e-12)
    np.testing.assert_allclose(state["running_var"], 0.9 + 0.1 * table.var(axis=0, ddof=1), rtol=1e-12)


def test_memory_order_does_not_matter():
    x = values(3, 4, 5, 6)
    gamma, beta = values(4, seed=1), values(4, seed=2)
    expected, _ = spatial_batchnorm_forward(x, gamma, beta, torch_state(4))
    channels_last = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    assert not channels_last.flags.c_contiguous
    actual, _ = spatial_batchnorm_forward(channels_last, gamma, beta, torch_state(4))
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


def test_integers_are_normalized_as_numbers():
    y, _ = batchnorm_forward(np.array([[-2, 12], [3, 2]]), np.ones(2), np.zeros(2), tutorial_state(2, eps=0))
    assert y.tolist() == [[-1, 1], [1, -1]]


@pytest.mark.parametrize(
    ("forward", "shape", "gamma", "message"),
    [
        (batchnorm_forward, (2, 3, 4, 4), 3, r"\(2, 3, 4, 4\).*\(N, C\)"),
        (batchnorm_forward, (0, 3), 3, r"\(0, 3\).*N >= 1"),
        (spatial_batchnorm_forward, (2, 3), 3, r"\(2, 3\).*\(N, C, H, W\)"),
        (batchnorm_forward, (2, 3), 1, r"gamma has shape \(1,\).*3 channels"),
    ],
)
def test_a_shape_that_would_broadcast_to_something_else_is_refused(forward, shape, gamma, message):
    with pytest.raises(ValueError, match=message):
        forward(np.zeros(shape), np.ones(gamma), np.zeros(3), torch_state(3))
