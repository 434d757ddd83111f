"""Gradient and weight sizes, judged by NumPy one trial at a time."""

import numpy as np
import pytest
import torch

from bnbench.training.measures.gradients import log10_slope, norms, total_norm
from bnbench.training.measures.weight_norms import effective_lr, weight_norm


@pytest.fixture
def layers():
    """Three layers' values for four trials, the second stored as conv weights are."""
    g = torch.Generator().manual_seed(0)
    conv = torch.randn(4, 5, 3, 3, 2, generator=g).permute(0, 1, 4, 2, 3)
    return [torch.randn(4, 7, 6, generator=g), conv, torch.randn(4, 9, generator=g) * 1e-3]


def test_norms_are_each_layer_s_and_each_trial_s_own(layers):
    expected = [[np.sqrt((layer[k].numpy().astype(float) ** 2).sum()) for layer in layers] for k in range(4)]
    np.testing.assert_allclose(norms(layers).numpy(), expected, rtol=1e-12)


def test_the_total_norm_is_that_of_all_layers_put_together(layers):
    expected = [np.linalg.norm(np.concatenate([layer[k].numpy().ravel() for layer in layers])) for k in range(4)]
    np.testing.assert_allclose(total_norm(layers).numpy(), expected, rtol=1e-6)


def test_the_slope_is_that_of_a_straight_line_through_the_logarithms():
    sizes = torch.rand(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.01
    expected = [np.polyfit(range(6), np.log10(row), 1)[0] for row in sizes.numpy()]
    np.testing.assert_allclose(log10_slope(sizes).numpy(), expected, rtol=1e-9)


def test_gradients_ten_times_smaller_a_layer_towards_the_input_have_slope_1():
    vanishing = torch.tensor([[1e-4, 1e-3, 1e-2, 1e-1]], dtype=torch.float64)
    assert log10_slope(vanishing).item() == pytest.approx(1)
    assert log10_slope(vanishing.flip(1)).item() == pytest.approx(-1)


def test_a_layer_without_any_gradient_has_no_slope():
    assert not torch.isfinite(log10_slope(torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64))).any()


def test_effective_lr_is_lr_over_the_squared_norm_averaged_over_layers(layers):
    lrs = [0.1, 1.0, 0.5, 3.0]
    sizes = [[np.linalg.norm(layer[k].numpy().ravel()) for layer in layers] for k in range(4)]
    expected = [np.mean([lr / size**2 for size in row]) for lr, row in zip(lrs, sizes, strict=True)]
    np.testing.assert_allclose(effective_lr(layers, lrs).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(weight_norm(layers).numpy(), np.mean(sizes, axis=1), rtol=1e-6)
