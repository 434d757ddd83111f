#!/usr/bin/env bash
# Versions: flax 0.12.8, dm-haiku 0.0.17, jax and jaxlib 0.10.2, numpy 2.4.6, on the CPU, with Python 3.11.
#
# A batch of no examples, as a filter on labels or the last shard of a data set gives, has nothing to say of a mean. One
# would guess that a training step on it leaves batch norm's running statistics as they are, or is refused. It does
# neither in flax.linen and in haiku: the mean of nothing is NaN and is blended into the statistics, where it stays for
# ever. Training goes on without a sign of it, for it uses each batch's own statistics; only outputs in inference are
# NaN, after a hundred more whole batches as after none.
#
# Output seen:
#   flax: NaN in 24 of 24 outputs, and in training in 0
#   haiku: NaN in 24 of 24 outputs, and in training in 0
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    flax==0.12.8 dm-haiku==0.0.17 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import haiku
import jax
import numpy as np
from flax import linen

batch = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
steps = [batch, batch[:0], *[batch] * 100]


def report(name, trained, inferred):
    lost, in_training = (int(np.isnan(y).sum()) for y in (inferred, trained))
    print(f"{name}: NaN in {lost} of {inferred.size} outputs, and in training in {in_training}")
    assert lost == inferred.size and in_training == 0


norm = linen.BatchNorm(momentum=0.9)
variables = norm.init(jax.random.key(0), batch, use_running_average=False)
for x in steps:
    y, changed = norm.apply(variables, x, use_running_average=False, mutable=["batch_stats"])
    variables = {**variables, **changed}
report("flax", y, norm.apply(variables, batch, use_running_average=True))

net = haiku.transform_with_state(lambda x, training: haiku.BatchNorm(True, True, 0.9)(x, training))
params, state = net.init(None, batch, True)
for x in steps:
    y, state = net.apply(params, state, None, x, True)
report("haiku", y, net.apply(params, state, None, batch, False)[0])
PYTHON
