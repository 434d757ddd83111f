#!/usr/bin/env bash
# Versions: dm-haiku 0.0.17, jax and jaxlib 0.10.2, numpy 2.4.6, on the CPU, with Python 3.11.
#
# A variance is never negative, and eps is there so that a feature without any variance passes batch norm safely.
# One would guess that a feature that is 33.3 throughout the batch comes out as the shift (0 at the start).
# Instead, haiku.BatchNorm computes the variance as mean(x^2) - mean(x)^2 in float32 and does not cut it off at 0.
# Rounding can make it negative by more than eps, the square root of a negative number follows, and the whole
# feature becomes NaN. The moving variance keeps the negative number, so that inference gives NaN as well.
# It depends on the value (5.0 is exact), and a feature need not be constant: of four features of mean 100 and
# standard deviation 0.01, whose true variance is ten times eps, two become NaN.
#
# Output seen:
#   constant 5.0: training [0.0, 0.0], moving variance [0.0, 0.0], inference [0.0, 0.0]
#   constant 33.3: training [nan, nan], moving variance [-0.00012207, -0.00012207], inference [nan, nan]
#   mean 100, deviation 0.01: variances from 8.0e-05 to 1.0e-04, features of NaN [True, True, False, False]
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


def run(x):
    weights, state = norm.init(None, x, True)
    training, state = norm.apply(weights, state, None, x, True)
    inference, _ = norm.apply(weights, state, None, x, False)
    variance = np.asarray(state["batch_norm/~/var_ema"]["average"])[0]
    return np.asarray(training), variance.round(8), np.asarray(inference)


for value in 5.0, 33.3:
    training, variance, inference = run(np.full((8, 2), value, np.float32))
    print(
        f"constant {value}: training {training[0].tolist()}, moving variance "
        f"{[float(f'{v:.8f}') for v in variance]}, inference {inference[0].tolist()}"
    )
    if value == 5.0:
        assert not training.any() and not variance.any() and not inference.any()
    else:
        assert (variance < -1e-5).all()
        assert np.isnan(training).all() and np.isnan(inference).all()

x = np.random.default_rng(0).normal(100, 0.01, size=(32, 4)).astype(np.float32)
true = x.astype(np.float64).var(0)
nan = np.isnan(run(x)[0]).any(0).tolist()
print(f"mean 100, deviation 0.01: variances from {true.min():.1e} to {true.max():.1e}, features of NaN {nan}")
assert true.min() > 5e-5 and any(nan)
PYTHON
