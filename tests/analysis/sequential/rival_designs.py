"""Designs that were tried and not taken: other ways of spending the level, an always-valid sequence, plain t."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

from bnbench.analysis.sequential.boundaries import nominal_levels
from bnbench.analysis.sequential.evidence import Evidence, summarize


def hwang_shih_decani(fraction: float, gamma: float) -> float:
    """The share of the level spent, for a gamma that is not 0."""
    return math.expm1(-gamma * fraction) / math.expm1(-gamma)


def o_brien_fleming_like(fraction: float) -> float:
    """Lan & DeMets (1983), by the shape that it has for a two-sided level of .05."""
    return 2 * float(ndtr(ndtri(0.0125) / math.sqrt(fraction))) / 0.025


def pocock_like(fraction: float) -> float:
    """Lan & DeMets (1983)."""
    return math.log1p((math.e - 1) * fraction)


def evenly(fraction: float) -> float:
    """What a gamma of 0 is."""
    return fraction


def _levels(spending: Callable[[float], float]) -> Callable[[float, tuple[int, ...]], tuple[float, ...]]:
    return lambda level, looks: nominal_levels(level, looks, spending)


SPENDING = {
    "O'Brien-Fleming-like": _levels(o_brien_fleming_like),
    "gamma -4": nominal_levels,
    "gamma -2": _levels(partial(hwang_shih_decani, gamma=-2.0)),
    "gamma 0": _levels(evenly),
    "Pocock-like": _levels(pocock_like),
}
"""Ways of spending the level, by name; gamma is that of Hwang, Shih & DeCani (1990), and bnbench's is -4."""


@lru_cache(maxsize=256)
def confidence_sequence(level: float, looks: tuple[int, ...]) -> tuple[float, ...]:
    """The nominal levels of an asymptotic confidence sequence, which is valid at every number of pairs at once.

    Its scale is the one that makes it narrowest at half the cap.

    References:
        Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), Time-uniform central limit theory and asymptotic
        confidence sequences.
    """
    alpha, n = 2 * level, np.array(looks, dtype=float)
    scale = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / (looks[-1] / 2)
    z = np.sqrt(2 * (n * scale + 1) / (n * scale) * np.log(np.sqrt(n * scale + 1) / alpha))
    return tuple(ndtr(-z).tolist())


def empirical_bernstein_half_width(sd: float, pairs: int, alpha: float = 0.05) -> float:
    """About how wide, either way, the predictable plug-in sequence is for differences of accuracies, within [-1, 1].

    References:
        Waudby-Smith & Ramdas (2024), Estimating means of bounded random variables by betting, section 3.2.
    """
    t, variance = np.arange(1, pairs + 1), (sd / 2) ** 2
    bets = np.minimum(np.sqrt(2 * math.log(2 / alpha) / (variance * t * np.log1p(t))), 0.75)
    cost = variance * (-np.log1p(-bets) - bets)
    return float(2 * (math.log(2 / alpha) + cost.sum()) / bets.sum())


def by_t(differences: np.ndarray, margin: float | None) -> Evidence:
    """The p values of plain paired t tests."""
    return _evidence(differences, margin, lambda z, n: stdtr(n - 1, -z))


def by_z(differences: np.ndarray, margin: float | None) -> Evidence:
    """The p values of the normal distribution, which takes the spread of the pairs for the true one."""
    return _evidence(differences, margin, lambda z, n: ndtr(-z))


def _evidence(differences: np.ndarray, margin: float | None, p: Callable[..., np.ndarray]) -> Evidence:
    n, mean, sd, _ = summarize(differences)

    def above(value: np.ndarray, bound: float) -> np.ndarray:
        return p((value - bound) / np.maximum(sd, 1e-12) * np.sqrt(n), n)

    within = np.ones_like(mean) if margin is None else np.maximum(above(mean, -margin), above(-mean, -margin))
    return Evidence(above(mean, margin or 0.0), above(-mean, margin or 0.0), within)
