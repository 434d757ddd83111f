"""The NumPy functional API, judged by numbers worked by hand, exact rational arithmetic and the formula."""

import statistics
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from bnbench.reference import batch_norm_with_global_normalization, batch_normalization, moments

MATRIX = [[-2, 12, 6], [3, 2, 8]]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_the_small_matrix_has_the_moments_worked_by_hand():
    mean, variance = moments(MATRIX, axes=[0])
    assert mean.tolist() == [0.5, 7, 7]
    assert variance.tolist() == [6.25, 25, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_small_matrix_normalizes_to_the_numbers_worked_by_hand(dtype):
    x = np.array(MATRIX, dtype=dtype)
    y = batch_normalization(x, *moments(x, axes=[0]), None, None, 1e-3)
    assert y.dtype == dtype
    row = np.array([0.99992, 0.99998, 0.9995])
    np.testing.assert_allclose(
        y, [-row * [1, -1, 1], row * [1, -1, 1]], rtol=0, atol=5e-6
    )  # the expected numbers have five digits
    exact = np.array([2.5, 5, 1]) / np.sqrt([6.251, 25.001, 1.001])
    np.testing.assert_allclose(y[1], exact * [1, -1, 1], rtol=4 * np.finfo(dtype).eps)


def test_the_formula_printed_without_its_square_root_gives_other_numbers():
    x = np.array(MATRIX, dtype=float)
    mean, variance = moments(x, axes=0)
    printed = (x - mean) / (variance + 1e-3)
    y = batch_normalization(x, mean, variance, None, None, 1e-3)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-3)  # eps changes a variance of 1
    np.testing.assert_allclose(printed.std(axis=0), [0.4, 0.2, 1], atol=1e-3)  # 1 / deviation
    assert np.abs(y - printed)[:, :2].min() > 0.5
    np.testing.assert_allclose(y[:, 2], printed[:, 2], atol=1e-3)  # a variance of 1 hides the mistake


def test_axes_are_those_averaged_over_in_every_layout():
    x = np.random.default_rng(0).random((128, 32, 32, 64), dtype=np.float32)  # (N, H, W, C)
    mean, variance = moments(x, axes=[0, 1, 2])
    assert mean.shape == variance.shape == (64,)
    channel = x[..., 5].astype(np.float64)
    # float32 sums of 131,072 values are less exact than 1e-4; the channels of one image differ by 1e-2
    np.testing.assert_allclose([mean[5], variance[5]], [channel.mean(), channel.var()], rtol=1e-4)
    assert [m.shape for m in moments(x[:2], axes=[0, 1, 3])] == [(32,), (32,)]
    assert [m.shape for m in moments(x[:2], axes=0)] == [(32, 32, 64), (32, 32, 64)]


def test_the_two_layouts_of_an_image_have_the_same_moments():
    nchw = values(3, 5, 4, 2)
    nhwc = np.moveaxis(nchw, 1, -1)
    for first, last in zip(moments(nchw, axes=[0, 2, 3]), moments(nhwc, axes=[0, 1, 2]), strict=True):
        assert first.shape == (5,)
        np.testing.assert_allclose(first, last, rtol=1e-12, atol=1e-15)


def test_fully_connected_axes_on_an_image_are_wrong_without_an_error():
    x = values(6, 4, 4, 4) + np.arange(4.0)[:, None, None]  # (N, C, H, W), channel c has mean c
    right = batch_normalization(x, *moments(x, axes=[0, 2, 3], keepdims=True), None, None, 0)
    wrong = batch_normalization(
        x, *moments(x, axes=[0, 1, 2]), None, None, 0
    )  # the axes of NHWC; with W = C there is no error
    np.testing.assert_allclose(right.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    assert wrong.shape == right.shape
    assert np.abs(wrong.mean(axis=(0, 2, 3))).max() > 0.5


def test_moments_without_kept_axes_do_not_fit_channels_first():
    x = values(2, 3, 4, 5)
    with pytest.raises(ValueError, match="broadcast"):
        batch_normalization(x, *moments(x, axes=[0, 2, 3]), None, None, 1e-3)


@pytest.mark.parametrize("axes", [1, [1], (1,), -2, [-2], range(1, 2), []])
def test_axes_may_be_one_or_several_or_an_empty_list(axes):
    x = values(2, 3, 4)
    over = tuple(np.atleast_1d(np.array(axes, dtype=int)))
    for keepdims in (False, True):
        mean, variance = moments(x, axes, keepdims=keepdims)
        np.testing.assert_allclose(mean, np.mean(x, axis=over, keepdims=keepdims), rtol=1e-12)
        np.testing.assert_allclose(variance, np.var(x, axis=over, keepdims=keepdims), rtol=1e-12)


def test_a_vector_of_equal_values_becomes_the_offset():
    w, u, b = 0.75, 2.0, -0.25
    x = np.full(10, w * u + b)
    mean, variance = moments(x, axes=0)
    assert variance == 0
    y = batch_normalization(x, mean, variance, offset=0.3, scale=5.0, variance_epsilon=1e-3)
    assert y.tolist() == [0.3] * 10


def test_the_variance_divides_by_n():
    x = values(7, 3)
    variance = moments(x, axes=0)[1]
    np.testing.assert_allclose(variance, x.var(axis=0, ddof=0), rtol=1e-12)
    np.testing.assert_allclose(variance * 7 / 6, x.var(axis=0, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_offset_keeps_the_digits_that_the_naive_formula_loses(dtype):
    deviation = 1e-3 if dtype == np.float64 else 1.0
    x = (1e4 + deviation * values(50)).astype(dtype)
    exact = float(statistics.pvariance([Fraction(float(v)) for v in x]))  # rational arithmetic: no rounding
    variance = moments(x, axes=0)[1]
    naive = (x * x).mean() - x.mean() ** 2
    # the error of the mean counts squared: (1e4 * eps)², beside a variance of 1 (1e-6 in double)
    assert variance == pytest.approx(exact, rel=1e-5 if dtype == np.float32 else 1e-12)
    # the error of the naive variance is 1e8 * eps, over that variance 12 in float32 and 0.02 in double
    assert abs(naive - exact) / exact > (0.1 if dtype == np.float32 else 1e-3)


def test_a_large_mean_is_subtracted_before_scaling():
    x = 1e6 + values(50)
    mean, variance = moments(x, axes=0)
    y = batch_normalization(x, mean, variance, 0.0, 1.0, 1e-3)
    judge = [(Fraction(v) - Fraction(float(mean))) / Fraction(float(np.sqrt(variance + 1e-3))) for v in x.tolist()]
    np.testing.assert_allclose(y, [float(value) for value in judge], rtol=1e-15)
    inverse = 1 / np.sqrt(variance + 1e-3)
    assert np.abs(x * inverse + (0.0 - mean * inverse) - y).max() > 1e-11  # TensorFlow's order of operations


@pytest.mark.parametrize("offset", [None, np.array([1.0, 2.0, 3.0])])
@pytest.mark.parametrize("scale", [None, np.array([4.0, 5.0, 6.0])])
def test_offset_and_scale_may_be_left_out(offset, scale):
    x, mean, variance = values(5, 3), np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])
    y = batch_normalization(x, mean, variance, offset, scale, 0.5)
    judge = (1 if scale is None else scale) * (x - mean) / np.sqrt(variance + 0.5)
    np.testing.assert_allclose(y, judge + (0 if offset is None else offset), rtol=1e-12, atol=1e-14)


def test_all_arguments_broadcast_against_the_last_axes():
    x = values(2, 4, 3)
    per_example = values(2, 1, 1, seed=1) ** 2
    y = batch_normalization(x, 1.0, per_example, values(4, 3, seed=2), values(3, seed=3), 1e-3)
    for n, i, c in np.ndindex(*x.shape):
        judge = (x[n, i, c] - 1) / (per_example[n, 0, 0] + 1e-3) ** 0.5
        judge = judge * values(3, seed=3)[c] + values(4, 3, seed=2)[i, c]
        assert y[n, i, c] == pytest.approx(judge, rel=1e-12)


@pytest.mark.parametrize("scaled", [True, False])
def test_global_normalization_uses_gamma_only_with_scale_after_normalization(scaled):
    t = values(2, 4, 4, 3)
    m, v = moments(t, axes=[0, 1, 2])
    beta, gamma = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    y = batch_norm_with_global_normalization(t, m, v, beta, gamma, 1e-6, scaled)
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), beta, rtol=1e-12)
    deviation = gamma * scaled + (1 - scaled)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), deviation, rtol=1e-5)  # eps / variance is about 1e-6


def test_the_arguments_have_the_names_tensorflow_users_know():
    t, ones = np.array([3.0, 5.0]), np.array([1.0])
    mean, variance = moments(x=t, axes=[0], keepdims=True)
    y = batch_normalization(x=t, mean=mean, variance=variance, offset=None, scale=None, variance_epsilon=0)
    z = batch_norm_with_global_normalization(
        t=t, m=mean, v=variance, beta=ones, gamma=ones, variance_epsilon=0, scale_after_normalization=True
    )
    assert y.tolist() == [-1, 1]
    assert z.tolist() == [0, 2]


def test_the_oracles_import_neither_torch_nor_the_configuration():
    loaded = "sorted({'torch', 'omegaconf', 'hydra', 'bnbench.config'} & set(sys.modules))"
    code = f"import sys, bnbench.reference; print({loaded})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
