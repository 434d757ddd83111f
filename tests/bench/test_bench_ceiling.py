"""Useful multiply-adds, counted another way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnbench.bench.ceiling import _taps, multiply_adds, product_rate
from bnbench.config import Trial


def test_a_fully_connected_network_has_its_weights_products(trial: Callable[..., Trial]) -> None:
    of = trial(["model=fc", "norm=batch"])
    first, rest = 784 * 100, 100 * 100 + 100 * 100 + 100 * 10
    assert multiply_adds(of, (1, 28, 28), 10) == 2 * first + 3 * rest


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (3, 2, 1, 1), (5, 1, 2, 1), (3, 1, 2, 2)])
def test_taps_are_those_that_meet_a_pixel(size: int, shape: tuple[int, int, int, int]) -> None:
    """Judge: a convolution of ones with ones counts them."""
    kernel, stride, padding, dilation = shape
    conv = nn.Conv2d(1, 1, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
    x, ones = torch.ones(1, 1, size, 1), torch.ones(1, 1, kernel, 1)
    met = F.conv2d(x, ones, None, (stride, 1), (padding, 0), (dilation, 1))
    assert _taps(conv, 0, size, met.shape[2]) == met.sum()


def test_one_tap_in_nine_is_useful_on_a_single_pixel(trial: Callable[..., Trial]) -> None:
    of = trial(["model=cnn", "model.depth=1", "model.width=4", "model.hidden=0", "norm=none"])
    assert multiply_adds(of, (1, 1, 1), 10) == 2 * 4 + 3 * 40


def test_the_product_rate_is_a_rate() -> None:
    assert product_rate(0.01) > 1e6
