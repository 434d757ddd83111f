"""What the processor could do: its rate in a large matrix product, and the multiply-adds a training step needs."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from bnbench.config import Trial
from bnbench.models import build_model

__all__ = ["multiply_adds", "product_rate"]

_SIZE = 512


def product_rate(seconds: float) -> float:
    """Multiply-adds a second of a 512 x 512 x 512 float32 product: the best of some stretches of `seconds / 5`."""
    a, b = torch.randn(2, _SIZE, _SIZE, generator=torch.Generator().manual_seed(0))
    out = torch.empty(_SIZE, _SIZE)
    for _ in range(5):
        torch.mm(a, b, out=out)
    return max(_stretch(a, b, out, seconds / 5) for _ in range(5)) * _SIZE**3


def _stretch(a: Tensor, b: Tensor, out: Tensor, seconds: float) -> float:
    """Products a second."""
    products = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not products:
        torch.mm(a, b, out=out)
        products += 1
    return products / elapsed


def multiply_adds(trial: Trial, shape: tuple[int, int, int], classes: int) -> int:
    """Useful multiply-adds of one example's training step, in linear and conv layers.

    Three products a layer: the output, the gradient by the weight and the gradient by the input; the first layer
    needs none by its input, the image. Products with padding are not counted: of a 3x3 kernel on a 1x1 map, one
    tap in nine is useful.

    Args:
        trial: The trial.
        shape: (C, H, W) of an image.
        classes: Outputs.
    """
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            counts.append(layer.in_features * layer.out_features)
        elif isinstance(layer, nn.Conv2d):
            taps = [_taps(layer, axis, inputs[0].shape[2 + axis], output.shape[2 + axis]) for axis in (0, 1)]
            counts.append(layer.in_channels // layer.groups * layer.out_channels * taps[0] * taps[1])

    net = build_model(trial, shape, classes).eval()
    hooks = [module.register_forward_hook(count) for module in net.modules()]
    with torch.no_grad():
        net(torch.zeros(2, *shape, dtype=getattr(torch, trial.training.precision)))
    for hook in hooks:
        hook.remove()
    return 3 * sum(counts) - counts[0]


def _taps(conv: nn.Conv2d, axis: int, size: int, out: int) -> int:
    """How often, along one axis, a kernel's tap meets a pixel and not padding."""
    assert not isinstance(conv.padding, str)
    starts = (i * conv.stride[axis] - conv.padding[axis] for i in range(out))
    reach = range(0, conv.kernel_size[axis] * conv.dilation[axis], conv.dilation[axis])
    return sum(0 <= start + offset < size for start in starts for offset in reach)
