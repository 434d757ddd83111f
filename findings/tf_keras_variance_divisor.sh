#!/usr/bin/env bash
# Versions: tf_keras 2.21.0, keras 3.15.1, tensorflow-cpu 2.21.0, numpy 2.4.6, with Python 3.11.
#
# A batch norm layer blends the variance of each batch into its moving variance, and it may divide the squared
# deviations by N (the population's variance) or by N - 1 (the unbiased one). One would guess that one layer of
# one framework does the same for every input, and that Keras 3 does what Keras 2 did.
# Instead, BatchNormalization of tf_keras (Keras 2) divides by N for inputs of 2 and 3 axes, but by N - 1 for
# inputs of 4 and 5 axes, where it runs TensorFlow's fused kernel; with fused=False it is N there too. The same
# numbers, reshaped from (8, 3) to (8, 1, 1, 3), thus leave another moving variance, while the outputs of training
# are equal. Keras 3 divides by N everywhere. A batch of one image of 2 pixels doubles the variance.
#
# Output seen (moving variance, divided by the population's variance of the batch):
#   shape (8, 3): tf_keras 1.0000, fused=False 1.0000, keras 1.0000
#   shape (8, 1, 3): tf_keras 1.0000, fused=False 1.0000, keras 1.0000
#   shape (8, 1, 1, 3): tf_keras 1.1429, fused=False 1.0000, keras 1.0000
#   shape (8, 1, 1, 1, 3): tf_keras 1.1429, fused=False 1.0000, keras 1.0000
#   shape (1, 1, 2, 3): tf_keras 2.0000, fused=False 1.0000, keras 1.0000
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    tf_keras==2.21.0 keras==3.15.1 tensorflow-cpu==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$dir/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np
import tf_keras

values = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def run(layer, x):
    outputs = layer(x, training=True)
    variance = x.reshape(-1, 3).astype(np.float64).var(0)
    return (layer.moving_variance.numpy() / variance).mean(), outputs.numpy().reshape(-1, 3)


for shape, fused in [
    ((8, 3), 1.0),
    ((8, 1, 3), 1.0),
    ((8, 1, 1, 3), 8 / 7),
    ((8, 1, 1, 1, 3), 8 / 7),
    ((1, 1, 2, 3), 2.0),
]:
    x = values.ravel()[: np.prod(shape)].reshape(shape)
    default, outputs = run(tf_keras.layers.BatchNormalization(momentum=0.0), x)
    unfused, _ = run(tf_keras.layers.BatchNormalization(momentum=0.0, fused=False if x.ndim > 3 else None), x)
    keras_3, expected = run(keras.layers.BatchNormalization(momentum=0.0), x)
    print(f"shape {shape}: tf_keras {default:.4f}, fused=False {unfused:.4f}, keras {keras_3:.4f}")
    assert np.abs(outputs - expected).max() < 1e-4
    assert abs(default - fused) < 1e-3 and abs(unfused - 1) < 1e-3 and abs(keras_3 - 1) < 1e-3
PYTHON
