"""How many slots a pack has; without torch, because planning needs it before torch is loaded."""

from __future__ import annotations

import math


def aligned_width(trials: int, channels: list[int]) -> int:
    """Slots for so many trials: at least two, and with conv layers a number that fills whole vectors.

    A single trial takes other kernels than two do. And channels_last batch norm vectorizes over channels,
    16 floats at a time: K * C must be a multiple of 16 in every layer, or the last channels round differently.

    Args:
        trials: The number of trials, at least 1.
        channels: Output channels of each conv layer; empty without any.
    """
    step = alignment(channels)
    return max(2, math.ceil(trials / step) * step)


def alignment(channels: list[int]) -> int:
    """The number that the slots of a pack must be a multiple of; see `aligned_width`."""
    return max((16 // math.gcd(16, c) for c in channels), default=1)
