"""Online normalization, judged by its oracle, by itself at batch size 1, and by properties of its gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.norms.online import OnlineNorm
from bnbench.reference import online_norm_backward, online_norm_forward, online_norm_state

A, B, EPS = 0.9, 0.8, 1e-3


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def layer(features: int, **settings) -> OnlineNorm:
    return OnlineNorm(features, decay_forward=A, decay_backward=B, eps=EPS, **{"clamp": 1e9, **settings}).double()


def rows(x: torch.Tensor) -> np.ndarray:
    """(N, C) or (N, C, H, W) as (N, C, P), the shape that the oracle takes."""
    return x.detach().reshape(*x.shape[:2], -1).numpy()


def assert_close(actual: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(rows(actual).ravel(), expected.ravel(), rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([(), (1, 1), (3, 2)]), st.booleans())
def test_output_gradient_and_state_are_the_oracle_s_over_several_steps(n, c, positions, affine):
    norm, state = layer(c, affine=affine), online_norm_state(c)
    if affine:
        with torch.no_grad():
            norm.weight.copy_(values(c, seed=1))
            norm.bias.copy_(values(c, seed=2))
    gamma = norm.weight.detach().numpy() if affine else np.ones(c)
    beta = norm.bias.detach().numpy() if affine else np.zeros(c)
    for step in range(3):
        x = (5 + 2 * values(n, c, *positions, seed=10 + step)).requires_grad_()
        dout = values(*x.shape, seed=20 + step)
        y = norm(x)
        y.backward(dout)
        expected, std, after = online_norm_forward(rows(x), state, decay=A, eps=EPS)
        dx, after = online_norm_backward(rows(dout) * gamma[:, None], expected, std, after, decay=B)
        assert_close(y, expected * gamma[:, None] + beta[:, None])
        assert_close(x.grad, dx)
        state = after
    for name, value in zip(("running_mean", "running_var", "error_along_y", "error_along_one"), state, strict=True):
        np.testing.assert_allclose(getattr(norm, name).numpy(), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("positions", [(), (3, 2)])
def test_a_batch_gives_the_results_of_its_examples_one_by_one(positions):
    x, dout = values(7, 4, *positions), values(7, 4, *positions, seed=1)
    whole, single = layer(4), layer(4)
    together = x.clone().requires_grad_()
    whole(together).backward(dout)
    for t in range(7):
        example = x[t : t + 1].clone().requires_grad_()
        single(example).backward(dout[t : t + 1])
        torch.testing.assert_close(example.grad[0], together.grad[t], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.running_var, single.running_var, rtol=1e-12, atol=0)


def test_statistics_converge_to_those_of_the_data():
    norm = OnlineNorm(2, decay_forward=0.99).double()
    data = values(4000, 2) * torch.tensor([3.0, 0.5]) + torch.tensor([10.0, -2.0])
    norm(data)
    torch.testing.assert_close(norm.running_mean, torch.tensor([10.0, -2.0]).double(), rtol=0, atol=0.9)
    torch.testing.assert_close(norm.running_var.sqrt(), torch.tensor([3.0, 0.5]).double(), rtol=0.15, atol=0)


def test_over_time_the_gradient_has_no_component_along_one_or_along_the_output():
    """Batch norm's gradient has none within each batch. Without the integrators both sums grow with the examples."""
    x, dout = values(20_000, 1), values(20_000, 1, seed=1) + 1
    dout += 0.5 * x
    with_control, without = layer(1), layer(1)
    without.decay_backward = 1.0  # the integrators then have no effect
    along_one, along_y = [], []
    for norm in (with_control, without):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        y.backward(dout)
        along_one.append(leaf.grad.mean().abs())
        along_y.append((leaf.grad * y.detach()).mean().abs())
    assert along_one[0] < 0.01 < 0.5 < along_one[1]
    assert along_y[0] < 0.02 < 0.3 < along_y[1]


def test_evaluation_uses_the_statistics_and_does_not_change_them():
    norm = layer(3)
    norm(values(5, 3))
    state = {name: value.clone() for name, value in norm.named_buffers()}
    x = values(2, 3, seed=3)
    expected = (x - state["running_mean"]) / (state["running_var"] + EPS).sqrt()
    torch.testing.assert_close(norm.eval()(x), expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, state[name]) for name, value in norm.named_buffers())


def test_outputs_are_clamped_and_pass_no_gradient_beyond():
    norm = layer(1, clamp=5.0)
    x = torch.tensor([[100.0], [0.1]], dtype=torch.float64, requires_grad=True)
    y = norm.eval()(x)
    y.sum().backward()
    assert y[0] == 5
    assert x.grad[0] == 0 != x.grad[1]
