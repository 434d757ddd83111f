"""Random numbers that are a function of a seed and a place and of nothing else, as the lanes' kernels draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROUNDS = 13
_TURNS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
_PARITY = 0x1BD11BDA

Words = NDArray[np.uint32]


class Drawn(IntEnum):
    """What is drawn, as numbered in `draws.h`."""

    dropped = 0
    mean_shift = 1
    mean_scale = 2
    shift = 3
    scale = 4


def threefry(key: Sequence[Words], counter: Sequence[Words]) -> list[Words]:
    """The four words of Threefry-4x32 with 13 rounds.

    Args:
        key: Four words, or arrays of them.
        counter: Likewise, of shapes that broadcast.

    References:
        Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    keys = [*key, key[0] ^ key[1] ^ key[2] ^ key[3] ^ np.uint32(_PARITY)]
    x = [word + more for word, more in zip(counter, keys, strict=False)]
    for number in range(_ROUNDS):
        others = (3, 1) if number % 2 else (1, 3)
        for into, other, turn in zip((0, 2), others, _TURNS[number % 8], strict=True):
            x[into] = x[into] + x[other]
            x[other] = (x[other] << np.uint32(turn) | x[other] >> np.uint32(32 - turn)) ^ x[into]
        if number % 4 == 3:
            added = number // 4 + 1
            x = [word + keys[(added + i) % 5] for i, word in enumerate(x)]
            x[3] = x[3] + np.uint32(added)
    return x


def uniforms(seed: int, what: Drawn, step: int, positions: int, channels: int) -> Tensor:
    """Multiples of 2^-24 in [0, 1), (positions, channels), float64.

    Args:
        seed: Of a trial and the layer that draws.
        what: What it draws.
        step: Steps taken before.
        positions: The examples of a batch, times the pixels of a map.
        channels: Or features.
    """
    blocks = -(-channels // 4)
    place = np.arange(positions, dtype=np.uint32)[:, None], np.arange(blocks, dtype=np.uint32)[None]
    key = [_word(seed), _word(seed >> 32), _word(0), _word(0)]
    words = threefry(key, [*place, _word(step), _word(what)])
    drawn = np.stack(words, 2).reshape(positions, 4 * blocks)[:, :channels]
    return torch.from_numpy((drawn >> np.uint32(8)).astype(np.float64) * 2.0**-24)


def normals(seed: int, what: Drawn, step: int, positions: int, channels: int) -> Tensor:
    """Numbers of mean 0 and standard deviation 1, at most 5.77 in size, likewise.

    References:
        Box & Muller (1958), A note on the generation of random normal deviates.
    """
    pairs = uniforms(seed, what, step, positions, channels + channels % 2).view(positions, -1, 2)
    size = torch.sqrt(-2 * torch.log(pairs[..., 0] + 2.0**-24))
    angle = 2 * math.pi * pairs[..., 1]
    return torch.stack([size * torch.cos(angle), size * torch.sin(angle)], 2).flatten(1)[:, :channels]


def _word(number: int) -> Words:
    return np.array([[number & 0xFFFFFFFF]], dtype=np.uint32)
