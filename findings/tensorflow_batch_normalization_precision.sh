#!/usr/bin/env bash
# Versions: tensorflow-cpu 2.21.0, numpy 2.4.6, with Python 3.11.
#
# tf.nn.batch_normalization(x, mean, variance, offset, scale, variance_epsilon) takes Python numbers as statistics,
# and its result has the type of x. One would guess that with x in float64 a Python number is a float64 as well
# (as it is in x - 0.1), so that the result is exact to about 1e-16.
# Instead, the function computes rsqrt(variance + variance_epsilon), its product with scale, and offset - mean times
# that before x takes part. Nothing there says float64, so all of it is done in float32 and cast to float64
# afterwards. The result is labelled float64 and is right to seven digits. The same statistics as NumPy's float64
# give all sixteen, and one NumPy number, the variance, is enough for that.
#
# Output seen:
#   x * 2.0 - 0.1 with Python numbers, for comparison: float64, largest error 0.0e+00
#   Python numbers: float64, largest relative error 6.3e-08
#   NumPy numbers: 3.6e-16; Python numbers but for the variance: 3.6e-16
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$dir/venv/bin/python" - <<'PYTHON'
import numpy as np
import tensorflow as tf

x = np.random.default_rng(0).normal(size=1000)
expected = (x - 0.1) / np.sqrt(0.7 + 1e-3) * 1.1 + 0.3


def error(mean, variance, offset, scale):
    y = tf.nn.batch_normalization(tf.constant(x), mean, variance, offset, scale, variance_epsilon=1e-3)
    assert y.dtype == tf.float64
    return np.abs(y.numpy() - expected).max() / np.abs(expected).max()


python, numpy = error(0.1, 0.7, 0.3, 1.1), error(*np.array([0.1, 0.7, 0.3, 1.1]))
variance = error(0.1, np.float64(0.7), 0.3, 1.1)
plain = tf.constant(x) * 2.0 - 0.1
comparison = np.abs(plain.numpy() - (x * 2.0 - 0.1)).max()
print(f"x * 2.0 - 0.1 with Python numbers, for comparison: {plain.dtype.name}, largest error {comparison:.1e}")
print(f"Python numbers: float64, largest relative error {python:.1e}")
print(f"NumPy numbers: {numpy:.1e}; Python numbers but for the variance: {variance:.1e}")
assert comparison < 1e-15
assert python > 1e-8
assert numpy < 1e-14 and variance < 1e-14
PYTHON
