"""The low-level functions, in NumPy and in torch, against numbers that TensorFlow 2.21.0 gave.

The numbers are those of tensorflow-cpu 2.21.0 on a CPU: tf.nn.moments, tf.nn.batch_normalization and
tf.nn.batch_norm_with_global_normalization; the functions of tf.compat.v1.nn gave the same.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from bnbench import reference
from bnbench.norms import functional

X = [[-2.0, 12.0, 6.0], [3.0, 2.0, 8.0]]
NAN, INF = float("nan"), float("inf")

both = pytest.mark.parametrize("version", [reference, functional], ids=["numpy", "torch"])


def array(version: ModuleType, values: Any, dtype: str = "float32") -> Any:
    numpy_array = np.array(values, dtype=dtype)
    return numpy_array if version is reference else torch.from_numpy(numpy_array)


def assert_gives(actual: Any, expected: list, dtype: str = "float32", tolerance: float = 1e-6) -> None:
    actual = np.asarray(actual)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


@both
def test_moments_of_float16_are_computed_in_float32(version):
    x = array(version, [[150, -125.25], [-60, 205], [27.75, -166.5], [-205, 64]], "float16")  # sd 133 and 149
    mean, variance = version.moments(x, [0])
    assert_gives(mean, [-21.8125, -5.6875], "float16", 0)
    assert_gives(variance, [16752.0, 22352.0], "float16", 0)
    assert_gives(version.moments(2 * x, [0])[1], [INF, INF], "float16")  # larger than the largest float16


@both
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_results_have_the_type_of_x(version, dtype):
    x = array(version, X, dtype)
    for moment in version.moments(x, [0]):
        assert np.asarray(moment).dtype == dtype
    for other in ("float16", "float32", "float64"):
        statistics = [
            array(version, values, other) for values in ([0.5, 7.0, 7.0], [6.25, 25.0, 1.0], [1.0] * 3, [2.0] * 3)
        ]
        assert np.asarray(version.batch_normalization(x, *statistics, 1e-3)).dtype == dtype
        y = version.batch_norm_with_global_normalization(x, *statistics, 1e-3, True)
        assert np.asarray(y).dtype == dtype
    assert np.asarray(version.batch_normalization(x, 0.5, 2.0, 3.0, -2.0, 1e-3)).dtype == dtype


@both
@pytest.mark.parametrize(
    ("axes", "mean", "variance"),
    [
        (0, [0.5, 7, 7], [6.25, 25, 1]),
        (np.int64(0), [0.5, 7, 7], [6.25, 25, 1]),
        ([np.int32(0)], [0.5, 7, 7], [6.25, 25, 1]),
        (np.array(0), [0.5, 7, 7], [6.25, 25, 1]),
        (np.array([0]), [0.5, 7, 7], [6.25, 25, 1]),
        (np.array([0, 1]), 4.8333335, 20.138891),
        (range(1), [0.5, 7, 7], [6.25, 25, 1]),
        (-1, [5.3333335, 4.3333335], [32.888889, 6.8888893]),
        ((0, -1), 4.8333335, 20.138891),
        (None, 4.8333335, 20.138891),
        ([], X, [[0.0] * 3] * 2),
    ],
    ids=repr,
)
def test_axes_may_be_whole_numbers_of_any_type(version, axes, mean, variance):
    moments = version.moments(array(version, X), axes)
    for actual, expected in zip(moments, (mean, variance), strict=True):
        assert_gives(actual, expected)


@both
@pytest.mark.parametrize("axes", [0.0, "0", [0, 0], 5])
def test_values_that_are_no_axes_are_refused(version, axes):
    with pytest.raises((TypeError, ValueError, IndexError, RuntimeError)):
        version.moments(array(version, X), axes)


@both
def test_moments_keep_their_axes_under_both_names_and_accept_arguments_without_effect(version):
    x = array(version, X)
    for names in ({"keepdims": True}, {"keep_dims": True}):
        mean, variance = version.moments(x, [0], shift=None, name="moments", **names)
        assert_gives(mean, [[0.5, 7, 7]])
        assert_gives(variance, [[6.25, 25, 1]])


@both
@pytest.mark.parametrize("number", [float, np.float32, np.float64, int], ids=lambda kind: kind.__name__)
def test_statistics_may_be_numbers(version, number):
    x = array(version, X)
    half = [[6.5346508, -13.2593917, -4.7762308], [-0.53465033, 0.87920976, -7.6039515]]
    whole = [[-1.9990008, 11.9940052, 5.9970026], [2.9985013, 1.9990008, 7.9960032]]
    if number is int:
        assert_gives(version.batch_normalization(x, 0, 1, None, None, 1e-3), whole)
        return
    numbers = [number(value) for value in (0.5, 2.0, 3.0, -2.0)]
    assert_gives(version.batch_normalization(x, *numbers, 1e-3, name="bn"), half)
    assert_gives(version.batch_norm_with_global_normalization(x, *numbers, 1e-3, True), half)
    unscaled = [[1.2326747, 11.1296959, 6.8881154], [4.7673254, 4.0603952, 8.3019753]]
    assert_gives(version.batch_norm_with_global_normalization(x, *numbers, 1e-3, False), unscaled)


NAMES = [("t", "m", "v"), ("input", "mean", "variance"), ("t", "mean", "variance"), ("input", "m", "v")]


@both
@pytest.mark.parametrize("names", NAMES, ids=",".join)
def test_global_normalization_takes_the_names_of_both_versions(version, names):
    x = array(version, X)
    statistics = dict(zip(names, (x, x[0], abs(x[1])), strict=True))
    rest = {"beta": x[0], "gamma": x[1], "variance_epsilon": 1e-3}
    y = version.batch_norm_with_global_normalization(**statistics, **rest, scale_after_normalization=True, name="bn")
    assert_gives(y[1, :1], [6.658812])
    assert_gives(y[0], X[0])
    without = rest | {"beta": None}
    y = version.batch_norm_with_global_normalization(**statistics, **without, scale_after_normalization=True)
    assert_gives(y[1, :1], [8.6588116])
    without = rest | {"gamma": None}
    for scaled in (True, False):
        y = version.batch_norm_with_global_normalization(**statistics, **without, scale_after_normalization=scaled)
        assert_gives(y[1, :1], [0.88627064])


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": 1.0}, "t and input are two names of one argument"),
        ({"mean": 1.0}, "m and mean are two names of one argument"),
        ({"v": None}, "missing argument: v, or variance"),
        ({"variance_epsilon": None}, "missing argument: variance_epsilon"),
        ({"scale_after_normalization": None}, "missing argument: scale_after_normalization"),
    ],
)
def test_arguments_passed_twice_or_not_at_all_are_refused_by_name(version, change, message):
    x = array(version, X)
    arguments = {"t": x, "m": x[0], "v": x[1], "variance_epsilon": 1e-3, "scale_after_normalization": False}
    with pytest.raises(TypeError, match=message):
        version.batch_norm_with_global_normalization(**arguments | change)


@both
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_variance_and_epsilon_of_zero_give_no_number(version, dtype):
    """The result is x / 0 - mean / 0: NaN, or infinite if x and the mean have different signs."""
    x = array(version, X, dtype)
    assert_gives(version.batch_normalization(x, 1.0, 0.0, None, None, 0.0), [[-INF, NAN, NAN], [NAN] * 3], dtype)
    constant = array(version, [X[1], X[1]], dtype)
    y = version.batch_normalization(constant, *version.moments(constant, [0]), 3.0, 2.0, 0.0)
    assert_gives(y, [[NAN] * 3] * 2, dtype)


@both
def test_an_epsilon_that_float16_rounds_to_zero_gives_no_number(version):
    x = array(version, X, "float16")
    zeros = array(version, [0.0] * 3, "float16")
    assert_gives(version.batch_normalization(x, zeros, zeros, None, None, 1e-8), [[NAN] * 3] * 2, "float16")
