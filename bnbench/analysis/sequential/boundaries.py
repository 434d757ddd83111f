"""How small a p value must be at each look, so that all looks together keep their level.

The level is spent look by look, by alpha spending (Lan & DeMets 1983): of a level alpha, `spent(n)` of it is used up
once n pairs were looked at. That share depends on the pairs alone and not on the cap, so that a cap may be raised after
its sweep has ended, and no boundary of an earlier look moves. What is left at any cap is not spent.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_UNSPENT = 7.0  # pairs
_NODES = 128  # of the Gauss-Legendre rule; levels then agree with those of 512 nodes to 1e-9
_LOWEST = -9.0  # below this z nothing is left that matters to a level


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
    """What it takes at each look to settle a contrast at a level that all looks share."""
    return [*map(Boundary, looks, nominal_levels(level / 2, looks), nominal_levels(level, looks))]


def spent(pairs: int) -> float:
    """The share of the level that is spent once so many pairs were looked at.

    >>> [round(spent(n), 2) for n in (10, 16, 24, 40, 64, 100)]
    [0.3, 0.56, 0.71, 0.82, 0.89, 0.93]
    """
    return 1 - _UNSPENT / pairs


@lru_cache(maxsize=4096)
def nominal_levels(level: float, looks: tuple[int, ...]) -> tuple[float, ...]:
    """The nominal one-sided level of each look: a p value as small as that rejects there.

    Under H0 the chance that any of the looks rejects is `level * spent(looks[-1])`. It is worked out for means of
    normal differences with known spread, by integrating over the paths that no earlier look has stopped; t tests at
    the same nominal levels keep it too, as tests/analysis/sequential shows by simulation.

    Args:
        level: The one-sided level of all looks together: half of alpha for each side of a two-sided test.
        looks: Numbers of pairs, ascending.

    References:
        Armitage, McPherson & Rowe (1969); Jennison & Turnbull (2000), Group Sequential Methods, chapters 7 and 19.
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr, ndtri

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nominal: list[float] = []
    used = 0.0
    sums, mass = np.zeros(1), np.ones(1)  # where the paths that go on stand, as sums of unit normals; their weights
    for i, look in enumerate(looks):
        step = math.sqrt(look - (looks[i - 1] if i else 0))
        to_spend, used = level * spent(look) - used, level * spent(look)

        def excess(z: float, *, sums: np.ndarray = sums, mass: np.ndarray = mass, step: float = step) -> float:
            crossing = np.exp(log_ndtr((sums - z * math.sqrt(look)) / step))  # noqa: B023
            return float(mass @ crossing) - to_spend  # noqa: B023

        bound = brentq(excess, float(ndtri(level)) - 1, -_LOWEST, xtol=1e-12)
        nominal.append(float(ndtr(-bound)))
        half = (bound - _LOWEST) / 2
        reached = (_LOWEST + half * (nodes + 1)) * math.sqrt(look)
        density = np.exp(-(((reached[:, None] - sums) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        sums, mass = reached, (density @ mass) * weights * half * math.sqrt(look)
    return tuple(nominal)
