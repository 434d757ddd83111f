#!/usr/bin/env bash
# Versions: flax 0.12.8, jax and jaxlib 0.10.2, numpy 2.4.6, on the CPU, with Python 3.11.
#
# flax.linen.BatchNorm in float32, on 64 values around a mean: one would guess that a mean of 1,000 standard deviations
# costs three of single precision's seven digits, so that outputs are off by a thousandth. By default the variance is
# the mean of the squares less the square of the mean, and what is left of it after the subtraction has one digit or
# none: outputs are off by tenths of a standard deviation, and at a mean of 10,000 and a deviation of 10 by more than
# one, though no NaN or infinity shows it. use_fast_variance=False computes what one would expect. Images with pixels
# from 0 to 255 that were never centred are half way there.
#
# Output seen:
#       100 +-   1: off by 0.0021, with use_fast_variance=False by 0.0000
#     1,000 +-   1: off by 0.5588, with use_fast_variance=False by 0.0001
#    10,000 +-  10: off by 1.4697, with use_fast_variance=False by 0.0001
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import jax
import numpy as np
from flax import linen

rng = np.random.default_rng(0)


def worst(mean, deviation, **settings):
    """The largest error of an output in training, over ten batches of 64 values."""
    errors = []
    for _ in range(10):
        x = (mean + deviation * rng.standard_normal((64, 1))).astype(np.float32)
        norm = linen.BatchNorm(use_running_average=False, epsilon=1e-5, **settings)
        y, _ = norm.apply(norm.init(jax.random.key(0), x), x, mutable=["batch_stats"])
        wide = x.astype(np.float64)
        right = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
        errors.append(np.abs(np.asarray(y) - right).max())
    return max(errors)


for mean, deviation, least in ((100, 1, 5e-4), (1_000, 1, 0.05), (10_000, 10, 0.05)):
    fast, slow = worst(mean, deviation), worst(mean, deviation, use_fast_variance=False)
    print(f"{mean:>7,} +- {deviation:>3}: off by {fast:.4f}, with use_fast_variance=False by {slow:.4f}")
    assert fast > least and slow < 5e-4
PYTHON
