"""The count of a step's operations, and the most that a core can do."""

from __future__ import annotations

import pytest
import torch

from bnbench.config import ModelConfig, Trial
from bnbench.lanes.layers import LaneLayer, Map, lane_layers
from bnbench.lanes.library import load_library
from bnbench.lanes.peak import fma_peak, step_operations
from bnbench.models import build_model
from bnbench.models.geometry import work

MNIST = (1, 28, 28)


def test_operations_of_a_fully_connected_network_are_those_of_its_geometry() -> None:
    from bnbench.bench.workloads import trials_of

    (trial,) = trials_of(["model=fc", "norm=batch", "training.batch_size=8"], [0])
    forward = work(ModelConfig(), MNIST, 10).linear
    operations = step_operations(_layers(trial), 8)
    assert operations == 2 * 8 * (3 * forward - 784 * 100)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("height", [1, 2, 5, 6])
def test_taps_of_a_conv_layer_that_meet_zeros_are_not_counted(stride: int, height: int) -> None:
    """Judge: a convolution of ones by ones sums to how often a tap meets a pixel."""
    width = 7
    met = torch.conv2d(torch.ones(1, 1, height, width), torch.ones(1, 1, 3, 3), stride=stride, padding=1)
    output = Map(4, *met.shape[2:])
    layer = LaneLayer("", Map(3, height, width), output, conv=True, stride=stride, left=1, top=1)
    assert step_operations([layer], 5) == 2 * 5 * 2 * 3 * 4 * int(met.sum())


def test_the_deep_cnn_needs_less_than_with_all_its_taps() -> None:
    from bnbench.bench.workloads import trials_of

    (trial,) = trials_of(["model=cnn", "norm=none", "training.batch_size=1"], [0])
    size = work(trial.model, MNIST, 10)
    assert 0.5 < step_operations(_layers(trial), 1) / (2 * 3 * (size.linear + size.conv)) < 1


def test_the_peak_is_one_that_a_core_can_have() -> None:
    library = load_library()
    if library is None:
        pytest.skip("there are no kernels")
    peaks = [fma_peak(library, 0.05) for _ in range(3)]
    assert all(1e9 < peak < 1e12 for peak in peaks)  # one vector of 4 at 0.1 GHz; four of 16 at 8 GHz


def _layers(trial: Trial) -> list[LaneLayer]:
    return lane_layers(build_model(trial, MNIST, 10), MNIST, trial.training.batch_size, decays=False)
