"""The random numbers of the kernels: known answers, another implementation, and what a stream has to look like."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bnbench.tensors.counter_draws import Drawn, normals, threefry, uniforms
from bnbench.tensors.seeding import derive

# Counter, key and words of Threefry-4x32 with 13 rounds, from the authors' known answers (Random123, kat_vectors).
KNOWN = [
    ("00000000 " * 4, "00000000 " * 4, "531c7e4f 39491ee5 2c855a92 3d6abf9a"),
    ("ffffffff " * 4, "ffffffff " * 4, "c4189358 1c9cc83a d5881c67 6a0a89e0"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0 082efa98 ec4e6c89",
        "4aa71d8f 734738c2 431fc6a8 ae6debf1",
    ),
]
SETS = ("avx512", "avx2", "neon")
Library = Callable[[str], ctypes.CDLL]


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split()], np.uint32)


def in_lanes(library: ctypes.CDLL, key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """The kernels' words, (4, 16)."""
    found = np.empty((4, 16), np.uint32)
    library.lanes_threefry.argtypes = [ctypes.c_void_p] * 3
    library.lanes_threefry.restype = None
    library.lanes_threefry(key.ctypes.data, counter.ctypes.data, found.ctypes.data)
    return found


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers_of_threefry(counter: str, key: str, answer: str, instruction_set: str, library: Library) -> None:
    of_key, of_counter, expected = (np.repeat(words(text)[:, None], 16, 1) for text in (key, counter, answer))
    assert np.array_equal(threefry([*of_key], [*of_counter]), expected)
    assert np.array_equal(in_lanes(library(instruction_set), of_key, of_counter), expected)


@pytest.mark.parametrize("instruction_set", SETS)
def test_each_lane_has_the_words_of_its_own_key(instruction_set: str, library: Library) -> None:
    draws = np.random.default_rng(0).integers(0, 2**32, (2, 4, 16), dtype=np.uint32)
    expected = np.array(threefry([*draws[0]], [*draws[1]]))
    assert np.array_equal(in_lanes(library(instruction_set), draws[0].copy(), draws[1].copy()), expected)


N, C = 4096, 36


def stream(trial: int = 0, layer: str = "blocks.0.dropout", what: Drawn = Drawn.dropped, step: int = 0) -> Tensor:
    return uniforms(derive(trial, layer), what, step, N, C)


def test_uniform_numbers_have_the_moments_and_the_distribution_of_uniform_ones() -> None:
    for trial, step in itertools.product(range(3), (0, 1, 1000)):
        x = stream(trial, step=step).flatten()
        n = len(x)
        assert abs(x.mean() - 1 / 2) < 5 / math.sqrt(12 * n)
        assert abs(x.square().mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / n)
        gaps = (x.sort().values - torch.arange(n) / n).abs()
        assert gaps.max() < 2.5 / math.sqrt(n), "Kolmogorov's distance"
        for p in (0.01, 0.3, 0.9):
            assert abs((x >= p).double().mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / n)


def test_neighbours_of_every_kind_are_independent() -> None:
    """Of two independent streams the correlation is of the size 1 / sqrt(n)."""
    x = stream()
    others = {
        "trial": stream(trial=1),
        "layer": stream(layer="blocks.1.dropout"),
        "step": stream(step=1),
        "what": stream(what=Drawn.shift),
        "example": x.roll(1, 0),
        "feature": x.roll(1, 1),
        "block of features": x.roll(4, 1),
    }
    for name, other in others.items():
        assert not torch.equal(x, other)
        correlation = torch.corrcoef(torch.stack([x.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(x.numel()), name
        both = ((x < 0.5) & (other < 0.5)).double().mean()
        assert abs(both - 0.25) < 5 * math.sqrt(3 / 16 / x.numel()), name


def test_channels_are_the_first_of_any_number_of_channels() -> None:
    for draw in (uniforms, normals):
        whole = draw(5, Drawn.scale, 3, 7, 12)
        for count in (1, 2, 3, 9):
            assert torch.equal(draw(5, Drawn.scale, 3, 7, count), whole[:, :count])
        assert torch.equal(draw(5, Drawn.scale, 3, 2, 12), whole[:2])


def test_normal_numbers_have_the_moments_and_the_distribution_of_normal_ones() -> None:
    for trial in range(3):
        x = normals(derive(trial, "blocks.0.norm"), Drawn.scale, 4, N, C)
        n = x.numel()
        assert abs(x.mean()) < 5 / math.sqrt(n)
        assert abs(x.square().mean() - 1) < 5 * math.sqrt(2 / n)
        assert abs(x.pow(3).mean()) < 5 * math.sqrt(15 / n)
        assert abs(x.pow(4).mean() - 3) < 5 * math.sqrt(96 / n)
        below = torch.special.ndtr(x.flatten().sort().values)
        assert (below - torch.arange(n) / n).abs().max() < 2.5 / math.sqrt(n), "Kolmogorov's distance"
        pairs = torch.corrcoef(x.t())
        assert (pairs - torch.eye(C)).abs().max() < 6 / math.sqrt(N), "of any two channels"
