#!/usr/bin/env bash
# Versions: tensorflow-cpu 2.21.0, numpy 2.4.6, with Python 3.11.
#
# tf.nn.moments(x, axes) gives the mean and the variance over the named axes, and drops those axes from the shape
# unless keepdims=True. One would guess that without axes (axes=[]) nothing is dropped: the mean is x, in the
# shape of x, as tf.reduce_mean(x, axis=[]) has it.
# Instead, every axis of length 1 is dropped, whether it was named or not: moments drops them with tf.squeeze,
# which takes an empty list for "all". The shape of the result thus depends on the lengths and not only on the
# axes, so that a batch of one example, or one channel, loses an axis that every other batch keeps. Code whose
# axes are computed then broadcasts the mean against the wrong axis: x - mean of a (3, 1) input is (3, 3).
#
# Output seen:
#   moments of (2, 3) over []: mean (2, 3), variance (2, 3)
#   moments of (1, 3) over []: mean (3,), variance (3,)
#   moments of (1, 3, 1) over []: mean (3,), variance (3,)
#   moments of (1, 1) over []: mean (), variance ()
#   x - mean for (3, 1) over []: (3, 3)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$dir/venv/bin/python" - <<'PYTHON'
import tensorflow as tf

for shape, dropped in [((2, 3), (2, 3)), ((1, 3), (3,)), ((1, 3, 1), (3,)), ((1, 1), ())]:
    x = tf.ones(shape)
    mean, variance = tf.nn.moments(x, axes=[])
    print(f"moments of {shape} over []: mean {tuple(mean.shape)}, variance {tuple(variance.shape)}")
    assert mean.shape == variance.shape == dropped
    assert tf.reduce_mean(x, axis=[]).shape == tf.math.reduce_variance(x, axis=[]).shape == shape
    assert tf.nn.moments(x, axes=[], keepdims=True)[0].shape == shape
mean, _ = tf.nn.moments(tf.ones((1, 3, 1)), axes=[0])
assert mean.shape == (3, 1)  # with axes, only those are dropped

x = tf.reshape(tf.range(3.0), (3, 1))
centered = x - tf.nn.moments(x, axes=[])[0]
print("x - mean for (3, 1) over []:", tuple(centered.shape))
assert centered.shape == (3, 3)
PYTHON
