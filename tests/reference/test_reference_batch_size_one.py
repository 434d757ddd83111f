"""One value per channel, and a bias before or after the norm: exact statements about the oracle and torch."""

import numpy as np
import pytest
import torch
from torch import nn

from bnbench.reference import (
    batchnorm_backward,
    batchnorm_forward,
    instance_norm,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    torch_state,
    tutorial_state,
)

GAMMA, BETA = np.array([2.0, -3.0, 0.5]), np.array([0.1, -0.2, 0.3])


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e8])
def test_with_one_value_per_channel_the_output_is_beta_and_the_gradient_zero(shape, scale):
    x, dout = scale * values(*shape), values(*shape, seed=1)
    spatial = len(shape) == 4
    forward, backward = (
        (spatial_batchnorm_forward, spatial_batchnorm_backward) if spatial else (batchnorm_forward, batchnorm_backward)
    )
    y, cache = forward(x, GAMMA, BETA, torch_state(3))
    dx, dgamma, dbeta = backward(dout, cache)
    np.testing.assert_array_equal(y.ravel(), BETA)
    np.testing.assert_array_equal(dx, np.zeros(shape))
    np.testing.assert_array_equal(dgamma, np.zeros(3))
    np.testing.assert_array_equal(dbeta, dout.ravel())


def test_weights_before_a_norm_of_one_value_per_channel_have_gradient_zero():
    u, weight, dout = values(1, 4), values(3, 4, seed=1), values(1, 3, seed=2)
    _, cache = batchnorm_forward(u @ weight.T, GAMMA, BETA, torch_state(3))
    dx, _, _ = batchnorm_backward(dout, cache)
    np.testing.assert_array_equal(dx.T @ u, np.zeros_like(weight))


def test_torch_refuses_one_value_per_channel():
    for norm, shape in ((nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 3, 1, 1))):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            norm(torch.zeros(shape))


def test_a_running_variance_of_divisor_n_minus_one_stays_and_does_not_become_nan():
    state = torch_state(3, momentum=0.25)
    x = values(1, 3)
    for _ in range(3):
        batchnorm_forward(x, GAMMA, BETA, state)
    np.testing.assert_array_equal(state["running_var"], np.ones(3))
    np.testing.assert_allclose(state["running_mean"], (1 - 0.75**3) * x[0], rtol=1e-12)


def test_a_running_variance_of_divisor_n_is_blended_with_zero():
    state = torch_state(3, momentum=0.25, ddof=0)
    batchnorm_forward(values(1, 3), GAMMA, BETA, state)
    np.testing.assert_array_equal(state["running_var"], np.full(3, 0.75))


def test_a_bare_state_stays_finite_after_a_single_value():
    bare = {"mode": "train", "eps": 1e-5, "momentum": 0.1, "ddof": 1}
    batchnorm_forward(values(1, 3), GAMMA, BETA, bare)
    np.testing.assert_array_equal(bare["running_var"], np.zeros(3))


def test_one_image_larger_than_a_pixel_is_normalized_by_its_own_statistics():
    x = values(1, 3, 4, 2)
    y, cache = spatial_batchnorm_forward(x, GAMMA, BETA, torch_state(3, eps=1e-3))
    np.testing.assert_allclose(y, instance_norm(x, GAMMA, BETA, eps=1e-3), rtol=1e-12, atol=1e-12)
    dx, _, _ = spatial_batchnorm_backward(values(*x.shape, seed=1), cache)
    assert np.abs(dx).max() > 0.1


# Values whose mean, deviation and gradients are binary fractions, so that no operation rounds.
EXACT_U = np.array([[3.0, -1.0], [5.0, 1.0], [3.0, 1.0], [5.0, -1.0]])
UNEVEN_U = np.array([[-1.0, -2.0], [0.5, 1.0], [2.0, 3.0], [4.0, 0.25]])
EXACT_DOUT = np.array([[0.5, 2.0], [-1.25, 4.0], [3.0, -0.75], [0.25, 8.0]])


def bias_gradient(u: np.ndarray, bias: list[float], *, relu: bool) -> tuple[np.ndarray, np.ndarray]:
    """The gradient with respect to a bias before batch norm, directly or with a ReLU between, and the output."""
    z = u + bias
    active = z > 0 if relu else np.ones_like(z)
    y, cache = batchnorm_forward(z * active, np.array([2.0, 4.0]), np.zeros(2), tutorial_state(2, eps=0))
    dx, _, _ = batchnorm_backward(EXACT_DOUT, cache)
    return (dx * active).sum(axis=0), y


def test_a_bias_before_the_norm_has_gradient_exactly_zero_and_no_effect():
    gradient, y = bias_gradient(EXACT_U, [0.5, -0.25], relu=False)
    np.testing.assert_array_equal(gradient, np.zeros(2))
    np.testing.assert_array_equal(y, bias_gradient(EXACT_U, [0.0, 0.0], relu=False)[1])


def test_a_bias_before_a_relu_before_the_norm_has_a_gradient_and_an_effect():
    gradient, y = bias_gradient(UNEVEN_U, [0.0, 0.0], relu=True)
    assert np.abs(gradient).min() > 0.1
    assert np.abs(y - bias_gradient(UNEVEN_U, [0.5, 0.25], relu=True)[1]).max(axis=0).min() > 0.01


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 3, 2)])
def test_the_input_gradient_sums_to_zero_over_the_batch_for_any_values(shape):
    forward, backward = (
        (batchnorm_forward, batchnorm_backward)
        if len(shape) == 2
        else (spatial_batchnorm_forward, spatial_batchnorm_backward)
    )
    axes = (0, *range(2, len(shape)))
    _, cache = forward(values(*shape), GAMMA, BETA, torch_state(3))
    dx, _, _ = backward(values(*shape, seed=1), cache)
    np.testing.assert_allclose(dx.sum(axis=axes), 0, atol=1e-14)
    test_dx, _, _ = backward(
        values(*shape, seed=1), forward(values(*shape), GAMMA, BETA, torch_state(3, mode="test"))[1]
    )
    assert np.abs(test_dx.sum(axis=axes)).max() > 0.1  # running statistics do not cancel a bias
