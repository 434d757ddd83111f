#!/usr/bin/env bash
# Versions: torch 2.13.0, numpy 2.4.6, on the CPU with one thread, with Python 3.11.
#
# A feature that has one value throughout the batch has the mean of that value and no variance, so batch norm
# should give its shift (here 0), whatever the value. One would guess 0 up to a few units of the last place,
# and the same for one and the same tensor in either memory format.
# Instead, the mean is rounded, and the error is divided by the square root of eps (0.00316), as no variance
# hides it; and each memory format sums in an order of its own. The very same images of the constant 33.3 give
# 0.0001 in NCHW and 0.39 in channels_last, and those of 1234.567 give 0.009 and 0.99. In float64 all are 0 to
# nine digits. So a feature that never changes is not silent behind the layer.
#
# Output seen (largest deviation from the shift; the last digits depend on the processor):
#   constant 33.3: NCHW 0.00013, channels_last 0.39482, float64 channels_last 7.6e-13
#   constant 1234.567: NCHW 0.00945, channels_last 0.99310, float64 channels_last 1.5e-11
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import torch

torch.set_num_threads(1)


def deviation(images):
    return torch.nn.functional.batch_norm(images, None, None, training=True, eps=1e-5).abs().max().item()


for value in 33.3, 1234.567:
    images = torch.full((64, 4, 8, 8), value)
    last = images.to(memory_format=torch.channels_last)
    assert torch.equal(images, last)
    planes, pixels, exact = deviation(images), deviation(last), deviation(last.double())
    print(f"constant {value}: NCHW {planes:.5f}, channels_last {pixels:.5f}, float64 channels_last {exact:.1e}")
    assert exact < 1e-6
    assert 0 < planes < 0.02
    assert pixels > 0.05 and pixels > 20 * planes
PYTHON
