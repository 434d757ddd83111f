"""The functional API on tensors, judged by its NumPy version, torch's batch norm and numeric gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench import reference
from bnbench.norms.functional import batch_norm_with_global_normalization, batch_normalization, moments


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def assert_same(ours: torch.Tensor, judge: np.ndarray) -> None:
    assert tuple(ours.shape) == judge.shape
    np.testing.assert_allclose(ours.numpy(), judge, rtol=1e-12, atol=1e-12)


@st.composite
def shapes_and_axes(draw):
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.lists(st.sampled_from(range(len(shape))), unique=True, max_size=len(shape)))
    axes = [axis - len(shape) * draw(st.booleans()) for axis in axes]
    kind = draw(st.sampled_from([list, tuple]))
    return shape, axes[0] if len(axes) == 1 and draw(st.booleans()) else kind(axes)


@settings(max_examples=150, deadline=None)
@given(case=shapes_and_axes(), keepdims=st.booleans(), seed=st.integers(0, 2**16))
def test_moments_are_those_of_the_numpy_version_for_any_shape_and_axes(case, keepdims, seed):
    shape, axes = case
    x = 3 + values(*shape, seed=seed)
    ours, judges = moments(x, axes, keepdims=keepdims), reference.moments(x.numpy(), axes, keepdims=keepdims)
    for actual, judge in zip(ours, judges, strict=True):
        assert_same(actual, judge)


@st.composite
def broadcastable(draw, shape):
    """A shape that broadcasts to `shape`: fewer leading axes, some of length 1."""
    axes = draw(st.integers(0, len(shape)))
    return tuple(1 if draw(st.booleans()) else size for size in shape[len(shape) - axes :])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_normalization_is_that_of_the_numpy_version_for_any_broadcasting(data, seed):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    x = values(*shape, seed=seed)
    mean, variance, beta, gamma = (values(*data.draw(broadcastable(shape)), seed=seed + i + 1) for i in range(4))
    variance = variance**2
    offset, scale = (value if data.draw(st.booleans()) else None for value in (beta, gamma))
    arrays = [None if v is None else v.numpy() for v in (x, mean, variance, offset, scale)]
    assert_same(
        batch_normalization(x, mean, variance, offset, scale, 1e-3),
        reference.batch_normalization(*arrays, 1e-3),
    )
    for scaled in (True, False):
        ours = batch_norm_with_global_normalization(x, mean, variance, beta, gamma, 1e-3, scaled)
        judge = [v.numpy() for v in (x, mean, variance, beta, gamma)]
        assert_same(ours, reference.batch_norm_with_global_normalization(*judge, 1e-3, scaled))


def test_the_small_matrix_normalizes_to_the_numbers_worked_by_hand():
    x = torch.tensor([[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]])
    mean, variance = moments(x, axes=[0])
    assert mean.tolist() == [0.5, 7, 7]
    assert variance.tolist() == [6.25, 25, 1]
    y = batch_normalization(x, mean, variance, None, None, 1e-3)
    row = torch.tensor([0.99992, 0.99998, 0.9995])
    signs = torch.tensor([[-1, 1, -1], [1, -1, 1]])
    torch.testing.assert_close(y, signs * row, rtol=0, atol=5e-6)  # the expected numbers have five digits


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 4, 5), (1, 3, 2, 2)])
def test_moments_and_normalization_compose_to_batch_norm_with_its_gradients(shape):
    x, gamma, beta, dout = values(*shape), values(3, seed=1), values(3, seed=2), values(*shape, seed=3)
    leaves = [v.clone().requires_grad_() for v in (x, gamma, beta)]
    axes = [0, *range(2, len(shape))]
    column = (3,) + (1,) * (len(shape) - 2)
    mean, variance = moments(leaves[0], axes, keepdims=True)
    y = batch_normalization(leaves[0], mean, variance, leaves[2].view(column), leaves[1].view(column), 1e-3)
    grads = torch.autograd.grad(y, leaves, dout)
    judge = F.batch_norm(leaves[0], None, None, leaves[1], leaves[2], training=True, eps=1e-3)
    judges = torch.autograd.grad(judge, leaves, dout)
    for actual, expected in zip((y, *grads), (judge, *judges), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    forward, backward = (
        (reference.batchnorm_forward, reference.batchnorm_backward)
        if len(shape) == 2
        else (reference.spatial_batchnorm_forward, reference.spatial_batchnorm_backward)
    )
    state = reference.torch_state(3, eps=1e-3)
    oracle, cache = forward(x.numpy(), gamma.numpy(), beta.numpy(), state)
    for actual, expected in zip((y.detach(), *grads), (oracle, *backward(dout.numpy(), cache)), strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize("axes", [0, [0, 2], (-1,), []])
def test_gradients_of_moments_are_their_slopes(axes):
    x = values(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: moments(x, axes), x)


def test_normalization_has_gradients_by_every_tensor():
    tensors = [values(4, 3), values(3), values(3, seed=1) ** 2 + 0.1, values(3, seed=2), values(3, seed=3)]
    leaves = [tensor.requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(lambda *args: batch_normalization(*args, 1e-3), leaves)


def test_channels_last_memory_does_not_matter():
    x = values(2, 3, 4, 5)
    last = x.to(memory_format=torch.channels_last)
    for expected, actual in zip(moments(x, [0, 2, 3]), moments(last, [0, 2, 3]), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-14)


def test_a_vector_of_equal_values_becomes_the_offset():
    x = torch.full((10,), 0.75 * 2 - 0.25, dtype=torch.float64)
    mean, variance = moments(x, axes=0)
    assert variance == 0
    offset = torch.tensor(0.3, dtype=torch.float64)
    assert torch.equal(batch_normalization(x, mean, variance, offset, None, 1e-3), offset.expand(10))


def test_one_value_per_channel_gives_beta_and_no_gradient():
    x, beta = values(1, 3).requires_grad_(), values(3, seed=1)
    y = batch_normalization(x, *moments(x, axes=0), beta, None, 1e-3)
    assert torch.equal(y[0], beta)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.count_nonzero() == 0


def test_a_large_offset_keeps_the_digits_that_the_naive_formula_loses():
    x = (1e4 + values(50, 3)).float()
    truth = x.double().var(0, unbiased=False)
    _, variance = moments(x, axes=0)
    naive = (x * x).mean(0) - x.mean(0) ** 2
    # the error of the mean counts squared: (1e4 * 6e-8)², beside a variance of 1
    torch.testing.assert_close(variance.double(), truth, rtol=1e-5, atol=0)
    assert ((naive - truth) / truth).abs().max() > 0.1  # its error is 1e8 * 6e-8, beside a variance of 1


def test_the_arguments_have_the_names_tensorflow_users_know():
    t, ones = torch.tensor([3.0, 5.0]), torch.ones(1)
    mean, variance = moments(x=t, axes=[0], keepdims=True)
    y = batch_normalization(x=t, mean=mean, variance=variance, offset=None, scale=None, variance_epsilon=0)
    z = batch_norm_with_global_normalization(
        t=t, m=mean, v=variance, beta=ones, gamma=ones, variance_epsilon=0, scale_after_normalization=True
    )
    assert y.tolist() == [-1, 1]
    assert z.tolist() == [0, 2]
