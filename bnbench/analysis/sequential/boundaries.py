"""How small a p value must be at each look, so that all looks together keep their level.

The level is spent look by look (Lan & DeMets 1983), most of it near the cap: early looks settle large differences only,
and a sweep that reaches its cap has lost little power by having looked. The cap is part of the design: with another
cap, every boundary is another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

GAMMA = -4.0
"""How late the level is spent: 0 spends it evenly, 1 nearly as Pocock's design, -4 nearly as O'Brien & Fleming's."""

_NODES = 128  # of the Gauss-Legendre rule; more nodes change no level's tenth digit
_LOWEST = -9.0  # no path below this z matters to a level


class Boundary(NamedTuple):
    """What it takes to settle a contrast at one look.

    Attributes:
        pairs: The number of pairs.
        side: The one-sided p value on either side that shows a difference: all looks and both sides share one level.
        within: The p value that shows equivalence: all looks share the same level.
    """

    pairs: int
    side: float
    within: float


def boundaries(level: float, looks: tuple[int, ...]) -> list[Boundary]:
    """What it takes at each look to settle a contrast at a level that all looks share.

    Args:
        level: The level of all looks together, in (0, .5).
        looks: Numbers of pairs, ascending; the last is the cap.
    """
    return [*map(Boundary, looks, nominal_levels(level / 2, looks), nominal_levels(level, looks))]


def spent(fraction: float) -> float:
    """The share of the level that is spent at a fraction of the cap (Hwang, Shih & DeCani 1990).

    >>> [round(spent(pairs / 64), 3) for pairs in (10, 16, 24, 32, 40, 48, 56, 64)]
    [0.016, 0.032, 0.065, 0.119, 0.209, 0.356, 0.599, 1.0]
    """
    return math.expm1(-GAMMA * fraction) / math.expm1(-GAMMA)


@lru_cache(maxsize=4096)
def nominal_levels(
    level: float, looks: tuple[int, ...], spending: Callable[[float], float] = spent
) -> tuple[float, ...]:
    """The nominal one-sided level of each look: a p value as small as that rejects there.

    It is worked out for means of normal differences with known spread, by integrating over the paths that no earlier
    look has stopped. Tests of differences with unknown spread at the same nominal levels keep the level too, as
    tests/analysis/sequential shows by simulation.

    Args:
        level: The one-sided level of all looks together: half of alpha for each side of a two-sided test.
        looks: Numbers of pairs, ascending; the last is the cap.
        spending: The share of the level that is spent at a fraction of the cap, growing from 0 to 1.

    References:
        Armitage, McPherson & Rowe (1969); Jennison & Turnbull (2000), Group Sequential Methods, chapters 7 and 19.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nominal: list[float] = []
    used = 0.0
    sums, mass = np.zeros(1), np.ones(1)  # where the paths that go on stand, as sums of unit normals; their weights
    for i, look in enumerate(looks):
        step = math.sqrt(look - (looks[i - 1] if i else 0))
        spent_so_far = level * spending(look / looks[-1])
        to_spend, used = spent_so_far - used, spent_so_far

        bound = brentq(_excess, 0, -_LOWEST, args=(to_spend, sums, mass, look, step), xtol=1e-12)
        nominal.append(float(ndtr(-bound)))
        half = (bound - _LOWEST) / 2
        reached = (_LOWEST + half * (nodes + 1)) * math.sqrt(look)
        density = np.exp(-(((reached[:, None] - sums) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        sums, mass = reached, (density @ mass) * weights * half * math.sqrt(look)
    return tuple(nominal)


def _excess(z: float, to_spend: float, sums: np.ndarray, mass: np.ndarray, look: int, step: float) -> float:
    """How much more than `to_spend` a bound z at this look would spend."""
    from scipy.special import ndtr

    return float(mass @ ndtr((sums - z * math.sqrt(look)) / step)) - to_spend
