"""The activations of the lane kernels, and the functions below them, against float64."""

from __future__ import annotations

import ctypes
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

INSTRUCTION_SETS = ("avx512", "avx2", "neon")
LEAST_NORMAL = 2.0**-126
Library = Callable[[str], ctypes.CDLL]
Formula = Callable[[torch.Tensor], torch.Tensor]


def apply(library: ctypes.CDLL, kind: int, slope: bool, x: np.ndarray) -> np.ndarray:
    """The value of an activation, or its slope, at each x of shape (n,), n a multiple of 16."""
    assert x.dtype == np.float32
    assert x.size % 16 == 0
    y = np.empty_like(x)
    function = library.lanes_elementwise
    function.argtypes = [ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    function(kind, int(slope), x.ctypes.data, y.ctypes.data, x.size)
    return y


def in_sixteens(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[: x.size // 16 * 16])


def dense_floats() -> np.ndarray:
    """Floats of every exponent and both signs, NaN and infinities among them, and many more where activations bend."""
    every = np.arange(0, 2**32, 4001, dtype=np.uint64).astype(np.uint32).view(np.float32)  # odd, so that all bits vary
    bend = np.arange(-400_000, 400_000, 2).astype(np.float32) / np.float32(20_001)
    tails = np.arange(-110_000, 110_000).astype(np.float32) / np.float32(1001)
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e4, -1e4, np.inf, -np.inf, np.nan], np.float32)
    return in_sixteens(np.concatenate([special, bend, tails, every]))


def at_least_one() -> np.ndarray:
    return in_sixteens(np.arange(0x3F800000, 0x7F800000, 1009, dtype=np.uint32).view(np.float32))


def turns() -> np.ndarray:
    """Every 37th of the numbers that a random word becomes, and the quarters among them."""
    whole = np.concatenate([np.arange(0, 2**24, 37), np.arange(0, 2**24, 2**20)])
    return in_sixteens(whole.astype(np.float32) / np.float32(2**24))


def zero_to_one() -> np.ndarray:
    return in_sixteens(np.arange(0, 0x3F800001, 1009, dtype=np.uint32).view(np.float32))


@dataclass(frozen=True)
class Function:
    """A value or slope in float64, how far the kernel may be from it, and below what it may be anything as small.

    Where a slope is the sum of two terms of different sign, ulps are those of `size`, the sum of their sizes. `tiny`
    is the size of results where exp is below the least normal float, which the kernels take to be 0.
    """

    exact: Formula
    ulps: float
    tiny: float = 0.0
    size: Formula | None = None


def lower(x: torch.Tensor) -> torch.Tensor:
    """The normal distribution's chance of a number below x; erfc keeps its bits where it is small."""
    return torch.erfc(-x / math.sqrt(2)) / 2


def x_density(x: torch.Tensor) -> torch.Tensor:
    return x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def x_logistic_slope(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x) * torch.sigmoid(-x)


def ones_where_positive(x: torch.Tensor, other: torch.Tensor | float) -> torch.Tensor:
    return torch.where(x > 0, torch.ones_like(x), other) + (x - x)


IDENTITY, RELU, LEAKY_RELU, TANH, SIGMOID, ELU, GELU, SILU, SOFTPLUS = range(9)
EXP, LOG, LOG1P, SINE, COSINE = -1, -2, -3, -4, -5
TORCH: dict[int, Formula] = {
    IDENTITY: lambda x: x.clone(),
    RELU: F.relu,
    LEAKY_RELU: F.leaky_relu,
    TANH: torch.tanh,
    SIGMOID: torch.sigmoid,
    ELU: F.elu,
    GELU: F.gelu,
    SILU: F.silu,
    SOFTPLUS: F.softplus,
}
NAMES = {kind: formula.__name__ if kind else "identity" for kind, formula in TORCH.items()}
VALUES: dict[int, Function] = {
    IDENTITY: Function(lambda x: x, ulps=0),
    RELU: Function(F.relu, ulps=0),
    LEAKY_RELU: Function(F.leaky_relu, ulps=1),
    TANH: Function(torch.tanh, ulps=2.5),
    SIGMOID: Function(torch.sigmoid, ulps=2.5, tiny=LEAST_NORMAL),
    ELU: Function(F.elu, ulps=1),
    GELU: Function(lambda x: x * lower(x), ulps=5, tiny=LEAST_NORMAL),
    SILU: Function(lambda x: x * torch.sigmoid(x), ulps=3.5, tiny=88 * LEAST_NORMAL),
    SOFTPLUS: Function(lambda x: F.relu(x) + torch.log1p(torch.exp(-x.abs())), ulps=2, tiny=LEAST_NORMAL),
}
SLOPES: dict[int, Function] = {
    RELU: Function(lambda x: ones_where_positive(x, 0.0), ulps=0),
    LEAKY_RELU: Function(lambda x: ones_where_positive(x, 0.01), ulps=1),
    TANH: Function(lambda x: torch.cosh(x) ** -2, ulps=4.5, tiny=4 * LEAST_NORMAL),
    SIGMOID: Function(lambda x: torch.sigmoid(x) * torch.sigmoid(-x), ulps=4.5, tiny=1.1 * LEAST_NORMAL),
    ELU: Function(lambda x: ones_where_positive(x, torch.exp(x)), ulps=1, tiny=LEAST_NORMAL),
    GELU: Function(
        lambda x: lower(x) + x_density(x), ulps=4.5, tiny=6 * LEAST_NORMAL, size=lambda x: lower(x) + x_density(x).abs()
    ),
    SILU: Function(
        lambda x: torch.sigmoid(x) + x_logistic_slope(x),
        ulps=4.5,
        tiny=88 * LEAST_NORMAL,
        size=lambda x: torch.sigmoid(x) + x_logistic_slope(x).abs(),
    ),
    SOFTPLUS: Function(torch.sigmoid, ulps=2.5, tiny=LEAST_NORMAL),
}


def assert_near(y: np.ndarray, x: np.ndarray, function: Function) -> None:
    """Every y is within the stated error of the function at x, and NaN where x is NaN and nowhere else."""
    with np.errstate(invalid="ignore"):  # signalling NaN
        x64 = torch.from_numpy(x.astype(np.float64))
    exact = function.exact(x64).numpy()
    size = np.abs(exact) if function.size is None else function.size(x64).numpy()
    assert np.array_equal(np.isnan(y[~np.isinf(x)]), np.isnan(x[~np.isinf(x)]))
    known = np.isfinite(exact)
    ulp = np.spacing(np.minimum(size[known], 3.4e38).astype(np.float32)).astype(np.float64)
    error = np.abs(y[known].astype(np.float64) - exact[known])
    excess = error - function.ulps * ulp - function.tiny
    worst = int(np.argmax(excess))
    assert excess[worst] <= 0, f"at {x[known][worst]!r}: {y[known][worst]!r}, not {exact[known][worst]!r}"
    infinite = np.isinf(exact)
    assert np.array_equal(y[infinite], exact[infinite].astype(np.float32))


@pytest.mark.parametrize("kind", TORCH, ids=NAMES.get)
def test_formulas_are_those_of_torch(kind: int) -> None:
    """Torch says which function is meant; the formulas keep the bits that its slopes lose in the tails."""
    x = torch.linspace(-40, 40, 10_001, dtype=torch.float64, requires_grad=True)
    y = TORCH[kind](x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    near = 3e-9 if kind == SOFTPLUS else 1e-14  # torch's softplus leaves out exp(-20)
    torch.testing.assert_close(VALUES[kind].exact(x), y, rtol=0, atol=near)
    if kind in SLOPES:
        torch.testing.assert_close(SLOPES[kind].exact(x), slope, rtol=0, atol=near)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("kind", VALUES, ids=NAMES.get)
def test_values_are_within_the_stated_error(library: Library, instruction_set: str, kind: int) -> None:
    x = dense_floats()
    assert_near(apply(library(instruction_set), kind, False, x), x, VALUES[kind])


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("kind", SLOPES, ids=NAMES.get)
def test_slopes_are_within_the_stated_error(library: Library, instruction_set: str, kind: int) -> None:
    x = dense_floats()
    assert_near(apply(library(instruction_set), kind, True, x), x, SLOPES[kind])


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_slope_of_the_identity_is_one_everywhere(library: Library, instruction_set: str) -> None:
    assert np.all(apply(library(instruction_set), IDENTITY, True, dense_floats()) == 1)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_slope_at_zero_is_that_of_torch(library: Library, instruction_set: str, zero: float) -> None:
    x = torch.tensor([zero], requires_grad=True)
    for kind, formula in TORCH.items():
        (slope,) = torch.autograd.grad(formula(x).sum(), x)
        ours = apply(library(instruction_set), kind, True, np.full(16, zero, np.float32))
        assert np.all(ours == slope.numpy()), NAMES[kind]


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_zero_stays_zero_but_in_sigmoid_and_softplus(library: Library, instruction_set: str) -> None:
    for kind in TORCH:
        y = apply(library(instruction_set), kind, False, np.zeros(16, np.float32))
        assert np.all((y == 0) == (kind not in (SIGMOID, SOFTPLUS))), NAMES[kind]


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_exp_is_within_an_ulp_and_overflows_to_infinity(library: Library, instruction_set: str) -> None:
    x = dense_floats()
    y = apply(library(instruction_set), EXP, False, x)
    overflows = x > np.float32(88.72283)  # the last whose exp is a float
    assert np.all(y[overflows] == np.inf)
    assert np.all(y[x < -88] == 0)
    x = in_sixteens(x[~overflows & ~np.isinf(x)])
    assert_near(apply(library(instruction_set), EXP, False, x), x, Function(torch.exp, ulps=1, tiny=LEAST_NORMAL))


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_logarithms_are_within_an_ulp(library: Library, instruction_set: str) -> None:
    domains = ((LOG, at_least_one(), torch.log), (LOG, turns() + np.float32(2.0**-24), torch.log))
    for kind, x, exact in (*domains, (LOG1P, zero_to_one(), torch.log1p)):
        assert_near(apply(library(instruction_set), kind, False, x), x, Function(exact, ulps=1))
    special = apply(library(instruction_set), LOG, False, np.array([1, np.inf, np.nan, 1] * 4, np.float32))
    np.testing.assert_array_equal(special, np.array([0, np.inf, np.nan, 0] * 4, np.float32))


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_sine_and_cosine_of_a_turn_are_within_two_ulps_of_exact_ones(library: Library, instruction_set: str) -> None:
    x = turns()
    for kind, exact in ((SINE, torch.sin), (COSINE, torch.cos)):
        y = apply(library(instruction_set), kind, False, x)
        wanted = exact(2 * math.pi * torch.from_numpy(x).double()).numpy()
        zero = np.abs(wanted) < 1e-9  # what pi in double precision leaves
        assert np.all(y[zero] == 0)
        ulp = np.spacing(np.abs(wanted).astype(np.float32)).astype(np.float64)
        assert np.all((np.abs(y - wanted) <= 2 * ulp)[~zero])


def bits(y: np.ndarray) -> np.ndarray:
    """The bits of each number; of every NaN the same, as CPUs differ in which NaN they make."""
    return np.where(np.isnan(y), np.float32(np.nan), y).view(np.int32)


CALLS = [(kind, slope) for kind in TORCH for slope in (False, True)] + [
    (kind, False) for kind in (EXP, LOG, LOG1P, SINE, COSINE)
]


def domain(kind: int) -> np.ndarray:
    return {LOG: at_least_one, LOG1P: zero_to_one, SINE: turns, COSINE: turns}.get(kind, dense_floats)()


@pytest.mark.parametrize("other", INSTRUCTION_SETS[1:])
def test_instruction_sets_agree_to_the_bit(library: Library, other: str) -> None:
    for kind, slope in CALLS:
        x = domain(kind)
        ours, others = (apply(library(name), kind, slope, x) for name in (INSTRUCTION_SETS[0], other))
        np.testing.assert_array_equal(bits(ours), bits(others), err_msg=f"kind {kind}, slope {slope}")


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_bits_are_the_same_on_every_machine(library: Library, instruction_set: str) -> None:
    """The number stands for what g++ and clang made of AVX-512, AVX2 and NEON; a new formula has a new one."""
    checksum = 0
    for kind, slope in CALLS:
        checksum = zlib.crc32(bits(apply(library(instruction_set), kind, slope, domain(kind))).tobytes(), checksum)
    assert checksum == 0xF5335C18


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_a_lane_depends_on_nothing_but_its_number(library: Library, instruction_set: str) -> None:
    for kind, slope in CALLS:
        x = domain(kind)
        y = apply(library(instruction_set), kind, slope, x)
        order = np.random.default_rng(0).permutation(x.size)
        shuffled = apply(library(instruction_set), kind, slope, x[order])
        np.testing.assert_array_equal(bits(shuffled), bits(y[order]), err_msg=f"kind {kind}, slope {slope}")
