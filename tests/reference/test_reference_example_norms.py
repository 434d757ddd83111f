"""The oracles of norms over single examples, judged by torch if it has them, else by loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnbench.reference import (
    batchnorm_forward,
    filter_response_norm,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
    torch_state,
    weight_standardization,
)

SHAPES = [(1, 6), (3, 6), (2, 6, 3, 5), (1, 6, 1, 1)]
GAMMA, BETA = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def assert_same(ours: np.ndarray, judge: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, judge.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_with_elementwise_affine_is_that_of_torch(shape, offset):
    x = values(*shape) + offset
    gamma, beta = values(*shape[1:], seed=1), values(*shape[1:], seed=2)
    assert_same(
        layer_norm(x, gamma, beta, eps=1e-3),
        F.layer_norm(*tensors(x), shape[1:], *tensors(gamma, beta), 1e-3),
    )
    assert_same(layer_norm(x, eps=1e-3), F.layer_norm(*tensors(x), shape[1:], eps=1e-3))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_group_norm_is_that_of_torch(shape, groups):
    x = values(*shape)
    # F.group_norm refuses one value per group at batch size 1, torch.group_norm does not
    judge = torch.group_norm(*tensors(x), groups, *tensors(GAMMA, BETA), 1e-3)
    assert_same(group_norm(x, groups, GAMMA, BETA, eps=1e-3), judge)
    assert_same(group_norm(x, groups, eps=1e-3), torch.group_norm(*tensors(x), groups, eps=1e-3))


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_with_an_affine_per_channel_is_group_norm_with_one_group(shape):
    x = values(*shape)
    assert_same(layer_norm(x, GAMMA, BETA, eps=1e-3), F.group_norm(*tensors(x), 1, *tensors(GAMMA, BETA), 1e-3))


@pytest.mark.parametrize("shape", [(2, 6, 3, 5), (1, 6, 4, 1), (2, 6, 7)])
def test_instance_norm_is_that_of_torch_and_group_norm_with_a_group_per_channel(shape):
    x = values(*shape)
    ours = instance_norm(x, GAMMA, BETA, eps=1e-3)
    assert_same(
        ours,
        F.instance_norm(*tensors(x), weight=torch.from_numpy(GAMMA), bias=torch.from_numpy(BETA), eps=1e-3),
    )
    np.testing.assert_allclose(ours, group_norm(x, 6, GAMMA, BETA, eps=1e-3), rtol=1e-12, atol=1e-12)


def test_instance_norm_of_a_single_pixel_is_beta():
    y = instance_norm(values(2, 6, 1, 1), GAMMA, BETA, eps=1e-3)
    np.testing.assert_array_equal(y[:, :, 0, 0], np.stack([BETA, BETA]))


@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm_is_that_of_torch(shape):
    x, gamma = values(*shape) + 3, values(*shape[1:], seed=1)
    assert_same(rms_norm(x, gamma, eps=1e-3), F.rms_norm(*tensors(x), shape[1:], *tensors(gamma), 1e-3))
    assert_same(rms_norm(x, eps=1e-3), F.rms_norm(*tensors(x), shape[1:], eps=1e-3))


def test_rms_norm_takes_a_gamma_per_channel_on_images():
    x = values(2, 6, 3, 5)
    gamma = np.broadcast_to(GAMMA[:, None, None], (6, 3, 5))
    np.testing.assert_array_equal(rms_norm(x, GAMMA, eps=1e-3), rms_norm(x, gamma, eps=1e-3))


def frn_by_loops(x, gamma, beta, tau, eps):
    z = np.empty_like(x)
    for n, c in np.ndindex(*x.shape[:2]):
        image = x[n, c]
        mean_square = sum(float(v) ** 2 for v in image.ravel()) / image.size
        y = gamma[c] * image / (mean_square + abs(eps[c])) ** 0.5 + beta[c]
        z[n, c] = [[max(v, tau[c]) for v in row] for row in y]
    return z


def test_filter_response_norm_follows_the_paper_value_by_value():
    x, tau = values(2, 6, 3, 5), np.linspace(-1, 0.5, 6)
    z = filter_response_norm(x, GAMMA, BETA, tau, eps=1e-2)
    np.testing.assert_allclose(z, frn_by_loops(x, GAMMA, BETA, tau, [1e-2] * 6), rtol=1e-12, atol=1e-14)
    assert (z == tau[:, None, None]).any()
    learned = np.linspace(-0.1, 0.1, 6)
    z = filter_response_norm(x, GAMMA, BETA, tau, eps=learned)
    np.testing.assert_allclose(z, frn_by_loops(x, GAMMA, BETA, tau, learned), rtol=1e-12, atol=1e-14)


def test_filter_response_norm_of_one_image_is_rms_norm_of_each_map():
    x = values(2, 6, 3, 5)
    maps = rms_norm(x.reshape(12, 15), eps=1e-3).reshape(x.shape)
    np.testing.assert_allclose(filter_response_norm(x, eps=1e-3), maps, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 1, 1)])
def test_filter_response_norm_of_a_single_value_is_nearly_its_sign(shape):
    x = values(*shape)
    y = filter_response_norm(x, eps=1e-4)
    np.testing.assert_allclose(y, x / np.sqrt(x**2 + 1e-4), rtol=1e-12)
    large = np.abs(x) > 0.1
    np.testing.assert_allclose(y[large], np.sign(x)[large], atol=5e-3)  # the difference is eps / (2 x²)


@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 2, 5), (1, 2, 1, 1)])
def test_weight_standardization_is_batch_norm_of_the_transposed_weights(shape):
    weight = values(*shape) + 2
    ours = weight_standardization(weight, eps=1e-3)
    rows = weight.reshape(len(weight), -1).T  # (I, O): output channels as features
    judge, _ = batchnorm_forward(rows, np.ones(len(weight)), np.zeros(len(weight)), torch_state(len(weight), eps=1e-3))
    np.testing.assert_allclose(ours, judge.T.reshape(shape), rtol=1e-12, atol=1e-12)
    assert_same(ours, F.layer_norm(*tensors(weight), shape[1:], eps=1e-3))


@pytest.mark.parametrize(
    ("norm", "removes_a_channel_shift", "removes_a_common_shift", "removes_scale"),
    [
        (lambda x: layer_norm(x, eps=0), False, True, True),
        (lambda x: group_norm(x, 3, eps=0), False, True, True),
        (lambda x: instance_norm(x, eps=0), True, True, True),
        (lambda x: rms_norm(x, eps=0), False, False, True),
        (lambda x: filter_response_norm(x, eps=0), False, False, True),
    ],
    ids=["layer", "group", "instance", "rms", "filter_response"],
)
def test_what_each_norm_makes_redundant_before_it(norm, removes_a_channel_shift, removes_a_common_shift, removes_scale):
    x = values(2, 6, 3, 5)
    channel = np.arange(6.0).reshape(6, 1, 1)
    for changed, cancels in (
        (x + channel, removes_a_channel_shift),
        (x + 3, removes_a_common_shift),
        (x * 3, removes_scale),
    ):
        assert np.allclose(norm(changed), norm(x), rtol=0, atol=1e-12) == cancels


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: layer_norm(x, eps=1e-3),
        lambda x: group_norm(x, 2, eps=1e-3),
        lambda x: instance_norm(x, eps=1e-3),
        lambda x: rms_norm(x, eps=1e-3),
        lambda x: filter_response_norm(x, eps=1e-3),
    ],
    ids=["layer", "group", "instance", "rms", "filter_response"],
)
def test_no_example_sees_another(norm):
    x = values(4, 6, 3, 5)
    alone = np.concatenate([norm(x[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(norm(x), alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("groups", [0, -2, 4, 12])
def test_a_group_count_that_does_not_divide_the_channels_is_refused(groups):
    with pytest.raises(ValueError, match=f"groups={groups} does not divide 6"):
        group_norm(values(2, 6), groups, eps=1e-3)


def test_instance_norm_without_positions_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 6\)"):
        instance_norm(values(2, 6), eps=1e-3)


def test_an_affine_that_would_broadcast_along_another_axis_is_refused():
    x = values(2, 6, 6, 5)
    for gamma in (np.ones(5), np.ones(1), np.ones((6, 1, 1))):
        for norm in (layer_norm, instance_norm, rms_norm, filter_response_norm):
            with pytest.raises(ValueError, match="6 channels"):
                norm(x, gamma, eps=1e-3)
