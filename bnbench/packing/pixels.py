"""Which conv layers of a network only see 1x1 maps, where only the middle of their kernel has an effect."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn


def is_linear_on_a_pixel(conv: nn.Conv2d) -> bool:
    """Whether on a 1x1 map all of the layer's kernel but its middle falls on padding."""
    around = tuple((k - 1) // 2 * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    odd = all(k % 2 for k in conv.kernel_size)
    return odd and conv.groups == 1 and conv.padding == around and conv.padding_mode == "zeros"


def single_pixel_layers(net: nn.Module, image_shape: tuple[int, int, int]) -> frozenset[str]:
    """Names of the conv layers that are linear layers on images of this shape.

    Args:
        net: One trial's network; run once on a black image, in evaluation mode, and left as it was.
        image_shape: (C, H, W).
    """
    convs = {name: m for name, m in net.named_modules() if type(m) is nn.Conv2d and is_linear_on_a_pixel(m)}
    if not convs:
        return frozenset()
    sizes: dict[nn.Module, set[tuple[int, ...]]] = defaultdict(set)

    def record_size(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[module].add(tuple(inputs[0].shape[2:]))

    hooks = [conv.register_forward_pre_hook(record_size) for conv in convs.values()]
    training = net.training
    with torch.no_grad():
        net.eval()(next(net.parameters()).new_zeros(1, *image_shape))
    net.train(training)
    for hook in hooks:
        hook.remove()
    return frozenset(name for name, conv in convs.items() if sizes[conv] == {(1, 1)})
