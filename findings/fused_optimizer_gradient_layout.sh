#!/usr/bin/env bash
# Versions: torch 2.13.0, numpy 2.4.6, on the CPU, with Python 3.11.
#
# A tensor of PyTorch may lie in memory in another order than its axes (a transposed view, channels_last),
# and equal tensors in different orders should behave alike. One would guess that a fused optimizer
# (fused=True) gives the update of the plain one, or refuses a gradient it cannot read.
# Instead, the fused CPU kernels walk through the memory of the parameter and of the gradient side by side.
# Where the two orders differ, each weight gets the gradient of another weight, without an error or a warning.
# SGD (with and without momentum), Adam, AdamW and Adagrad all do this.
# loss.backward() is safe for a fresh parameter, as it stores the gradient in the parameter's order. A gradient
# that torch.autograd.grad returned and that was assigned is not: that of a convolution of a channels_last
# input lies in channels_last, although the weight does not.
#
# Output seen:
#   plain SGD: [[-1.0, -2.0, -3.0], [4.0, 5.0, 6.0]]
#   fused SGD: [[-1.0, 4.0, -2.0], [5.0, -3.0, 6.0]]
#   convolution, share of the weights moved wrongly: SGD 0.89, Adam 0.41, AdamW 0.41, Adagrad 0.41
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import torch


def step(optimizer, weight, grad, fused, **settings):
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = grad
    optimizer([parameter], lr=1.0, fused=fused, **settings).step()
    return parameter.detach()


packed = torch.tensor([[1.0, 2.0, 3.0], [-4.0, -5.0, -6.0]])
grad = packed.t().contiguous().t()  # the same numbers, laid down column by column
assert torch.equal(grad, packed)
plain, fused = (step(torch.optim.SGD, torch.zeros(2, 3), grad, way) for way in (False, True))
print("plain SGD:", plain.tolist())
print("fused SGD:", fused.tolist())
assert torch.equal(step(torch.optim.SGD, torch.zeros(2, 3), packed, True), plain)
assert plain.tolist() == [[-1, -2, -3], [4, 5, 6]]
assert fused.tolist() == [[-1, 4, -2], [5, -3, 6]]

torch.manual_seed(0)
conv = torch.nn.Conv2d(3, 4, 3)
images = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
(grad,) = torch.autograd.grad(conv(images).square().sum(), [conv.weight])
assert grad.stride() == (27, 1, 9, 3) and conv.weight.stride() == (27, 9, 3, 1)
shares = []
for name, settings in (("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {}), ("Adagrad", {})):
    plain, fused = (step(getattr(torch.optim, name), conv.weight.detach(), grad, way, **settings) for way in (False, True))
    wrong = ((plain - fused).abs() > 1e-3).float().mean().item()
    shares.append(f"{name} {wrong:.2f}")
    assert wrong > 0.2, name
print("convolution, share of the weights moved wrongly:", ", ".join(shares))
PYTHON
