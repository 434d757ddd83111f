"""What a core can do at most, and how much of it a step of a network needs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnbench.lanes.layers import LaneLayer  # imports torch, which a plan does without


def fma_peak(library: ctypes.CDLL, seconds: float) -> float:
    """Floating-point operations that one core does per second of processor time, in multiply-adds (two each) alone.

    They are as wide as the kernels', and wait for no other and for no memory.

    Args:
        library: From `load_library`.
        seconds: Of processor time, at least.
    """
    library.lanes_fma_peak.restype, library.lanes_fma_peak.argtypes = ctypes.c_double, [ctypes.c_double]
    peak: float = library.lanes_fma_peak(seconds)
    return peak


def step_operations(layers: Sequence[LaneLayer], batch_size: int) -> int:
    """Floating-point operations of the products in one training step of one trial: forward, by input and by weight.

    The first layer has no product by its input. Taps of a conv layer that meet no pixel are not counted, nor anything
    but products.

    Args:
        layers: From the images to the logits.
        batch_size: N.
    """
    products = [_multiply_adds(layer) for layer in layers]
    return 2 * batch_size * (3 * sum(products) - products[0])


def _multiply_adds(layer: LaneLayer) -> int:
    """Of the forward pass of one example."""
    source, output = layer.source, layer.output
    if not layer.conv:
        return source.channels * source.height * source.width * output.channels
    rows = _meetings(output.height, layer.stride, layer.top, source.height)
    columns = _meetings(output.width, layer.stride, layer.left, source.width)
    return source.channels * output.channels * rows * columns


def _meetings(outputs: int, stride: int, before: int, inputs: int) -> int:
    """How often a tap of the outputs along one side meets an input, rather than a zero before or after them."""
    return sum(0 <= output * stride + tap - before < inputs for output in range(outputs) for tap in range(3))
