#!/usr/bin/env bash
# Versions: dm-haiku 0.0.17, jax and jaxlib 0.10.2, numpy 2.4.6, on the CPU, with Python 3.11.
#
# The input of init is usually a sample of which only the shape matters, and the moving statistics of a batch norm
# start at mean 0 and variance 1 in other frameworks (torch, Keras, flax). One would guess the same here: a layer
# that has never been trained is close to the identity in inference, and two inits differ in nothing.
# Instead, haiku.BatchNorm stores the statistics of the very batch that init was called with. Inference before any
# training standardizes by them, so that an init with a batch of zeros leaves a variance of 0 and multiplies the
# inputs of inference by 316. One training step forgets the stored ones entirely, whatever the decay rate: the
# moving mean of a layer with decay 0.9 is then that step's mean. With is_training=False, init has no statistics
# to use and raises ValueError, so that a network cannot be set up in inference mode at all.
#
# Output seen:
#   init with zeros: 1.0 becomes 316.2 in inference
#   init with 100 +- 2: mean 100.0, variance 4.0; 1.0 becomes -49.5 in inference
#   after one training step on 7 +- 1 with decay 0.9: mean 7.0, variance 1.0
#   init with is_training=False: ValueError, No value for 'average' in 'batch_norm/~/mean_ema'
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    dm-haiku==0.0.17 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import haiku as hk
import numpy as np

norm = hk.transform_with_state(lambda x, training: hk.BatchNorm(True, True, 0.9, eps=1e-5)(x, is_training=training))
one = np.ones((1, 1), np.float32)
near_100, near_7 = np.array([[98.0], [102.0]], np.float32), np.array([[6.0], [8.0]], np.float32)


def statistics(state):
    return [state[f"batch_norm/~/{name}_ema"]["average"].item() for name in ("mean", "var")]


weights, state = norm.init(None, np.zeros((2, 1), np.float32), True)
zeros = norm.apply(weights, state, None, one, False)[0].item()
print(f"init with zeros: 1.0 becomes {zeros:.1f} in inference")
weights, state = norm.init(None, near_100, True)
mean, variance = statistics(state)
hundred = norm.apply(weights, state, None, one, False)[0].item()
print(f"init with 100 +- 2: mean {mean:.1f}, variance {variance:.1f}; 1.0 becomes {hundred:.1f} in inference")
assert abs(zeros - 316.2) < 0.1 and abs(mean - 100) < 1e-3 and abs(variance - 4) < 1e-3 and abs(hundred + 49.5) < 0.1
mean, variance = statistics(norm.apply(weights, state, None, near_7, True)[1])
print(f"after one training step on 7 +- 1 with decay 0.9: mean {mean:.1f}, variance {variance:.1f}")
assert abs(mean - 7) < 1e-4 and abs(variance - 1) < 1e-4
try:
    norm.init(None, near_100, False)
except ValueError as error:
    print("init with is_training=False: ValueError,", str(error).split(",")[0])
else:
    raise SystemExit("init with is_training=False works now")
PYTHON
