#!/usr/bin/env bash
# Versions: equinox 0.13.8, jax and jaxlib 0.10.2, numpy 2.4.6, on the CPU, with Python 3.11.
#
# equinox.nn.BatchNorm(mode="batch") keeps moving statistics (momentum 0.99) and corrects in inference for
# their start, as Adam does, dividing them by 1 - 0.99^t after t training steps. One would guess that the
# statistics in use after one step are those of that step's batch: the correction is exact for a start at 0.
# Instead, only the moving mean starts at 0. The moving variance starts at 1, and the correction turns the
# share of that start into an excess of 0.99^t / (1 - 0.99^t): 99 after the first step, whatever the data.
# On data of variance 1, for which a start at 1 without a correction would be right from the first step on, outputs
# in inference are ten times too small after one step, half as large as they should be after about 30 steps,
# and 20 % too small after 100 steps, so that early validation scores show the layer and not the training.
#
# Output seen:
#   a constant feature after one step: moving variance 0.99, 1.0 beside its mean becomes 0.1005 (1 / sqrt(99))
#   data of variance 1, deviation of the outputs in training 1.000
#   deviation in inference after 1, 10, 100, 500 steps: 0.100, 0.309, 0.796, 0.997
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    equinox==0.13.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import equinox as eqx
import jax
import numpy as np


def make():
    return eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, axis_name="batch", mode="batch", momentum=0.99)


@eqx.filter_jit
def run(norm, x, state):
    return jax.vmap(norm, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)


norm, state = make()
_, state = run(norm, np.full((8, 3), 5.0, np.float32), state)
hidden = float(jax.tree.leaves(state)[-1][0])
output = run(eqx.nn.inference_mode(norm), np.full((1, 3), 6.0, np.float32), state)[0][0, 0].item()
print(f"a constant feature after one step: moving variance {hidden:.2f}, 1.0 beside its mean becomes {output:.4f}")
assert abs(hidden - 0.99) < 1e-6 and abs(output - 99**-0.5) < 1e-4

norm, state = make()
x = np.random.default_rng(0).normal(5, 1, size=(4096, 3)).astype(np.float32)
x = (x - x.mean(0)) / x.std(0) + 5
deviations = {}
for count in range(1, 501):
    y, state = run(norm, x, state)
    deviations[count] = np.asarray(run(eqx.nn.inference_mode(norm), x, state)[0]).std()
    assert abs(deviations[count] - (1 - 0.99**count) ** 0.5) < 2e-3
print(f"data of variance 1, deviation of the outputs in training {np.asarray(y).std():.3f}")
seen = ", ".join(f"{deviations[count]:.3f}" for count in (1, 10, 100, 500))
print("deviation in inference after 1, 10, 100, 500 steps:", seen)
PYTHON
