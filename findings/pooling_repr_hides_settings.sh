#!/usr/bin/env bash
# Versions: torch 2.13.0, numpy 2.4.6, with Python 3.11.
#
# Experiment tracking often keeps the printed form of a model, as PyTorch's modules print their settings
# (BatchNorm2d prints eps, momentum, affine and track_running_stats). One would guess that two layers that
# print alike compute alike, once their weights are equal; pooling layers have no weights at all.
# Instead, AvgPool2d prints its kernel size, stride and padding, but neither ceil_mode nor
# count_include_pad nor divisor_override; MaxPool2d does print ceil_mode, but not return_indices; and
# Upsample leaves out align_corners. Layers whose outputs differ in value, shape or kind print the same line.
#
# Output seen:
#   AvgPool2d(kernel_size=2, stride=2, padding=1)
#     {}: [[0.25, 0.5], [0.5, 1.0]]
#     {'count_include_pad': False}: [[1.0, 1.0], [1.0, 1.0]]
#     {'divisor_override': 1}: [[1.0, 2.0], [2.0, 4.0]]
#   AvgPool2d(kernel_size=2, stride=2, padding=0)
#     an image of 5x5 becomes (2, 2), or with ceil_mode=True (3, 3)
#   MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
#     gives a Tensor, or with return_indices=True a tuple
#   Upsample(scale_factor=2.0, mode='bilinear')
#     [0, 1] becomes [0.0, 0.25, 0.75, 1.0], or with align_corners=True [0.0, 0.333, 0.667, 1.0]
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn import AvgPool2d, MaxPool2d, Upsample

ones, image, line = torch.ones(1, 3, 3), torch.ones(1, 5, 5), torch.tensor([[[[0.0, 1.0]]]])
choices = {}, {"count_include_pad": False}, {"divisor_override": 1}
layers = [AvgPool2d(2, padding=1, **choice) for choice in choices]
assert len({repr(layer) for layer in layers}) == 1
print(layers[0])
outputs = [layer(ones)[0].tolist() for layer in layers]
for choice, output in zip(choices, outputs):
    print(f"  {choice}: {output}")
assert outputs == [[[0.25, 0.5], [0.5, 1]], [[1, 1], [1, 1]], [[1, 2], [2, 4]]]

layers = AvgPool2d(2), AvgPool2d(2, ceil_mode=True)
assert repr(layers[0]) == repr(layers[1])
shapes = [tuple(layer(image)[0].shape) for layer in layers]
print(f"{layers[0]}\n  an image of 5x5 becomes {shapes[0]}, or with ceil_mode=True {shapes[1]}")
assert shapes == [(2, 2), (3, 3)]

layers = MaxPool2d(2), MaxPool2d(2, return_indices=True)
assert repr(layers[0]) == repr(layers[1])
kinds = [type(layer(image)).__name__ for layer in layers]
print(f"{layers[0]}\n  gives a {kinds[0]}, or with return_indices=True a {kinds[1]}")
assert kinds == ["Tensor", "tuple"]

layers = Upsample(scale_factor=2, mode="bilinear"), Upsample(scale_factor=2, mode="bilinear", align_corners=True)
assert repr(layers[0]) == repr(layers[1])
rows = [[round(value, 3) for value in layer(line)[0, 0, 0].tolist()] for layer in layers]
print(f"{layers[0]}\n  [0, 1] becomes {rows[0]}, or with align_corners=True {rows[1]}")
assert rows == [[0.0, 0.25, 0.75, 1.0], [0.0, 0.333, 0.667, 1.0]]
PYTHON
