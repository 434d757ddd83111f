"""What a sweep could have seen: the power of a paired t test, from the spread of its differences.

The spread is an estimate itself: from ten pairs, its 95 % interval reaches from .69 to 1.83 times the one seen. So
these numbers plan a sweep and put "cannot tell" into proportion; they test nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np

__all__ = ["detectable_difference", "paired_t_power", "pairs_needed"]

Sides = Literal[1, 2]


def paired_t_power(delta: float, sd: float, n: int, alpha: float = 0.05, sides: Sides = 2) -> float:
    """How probably a paired t test of n normal differences rejects "no difference" when the truth is `delta`.

    Args:
        delta: The true difference.
        sd: Standard deviation of the paired differences, > 0, in the same unit.
        n: Pairs.
        alpha: Significance level; divide it by the size of the family for the worst case of Holm.
        sides: 1 tests for a difference of delta's own sign only.

    Returns:
        In [0, 1]; NaN for fewer than two pairs.

    >>> [round(paired_t_power(1, 1, n, alpha=0.05 / 4), 2) for n in (5, 10, 20)]
    [0.15, 0.55, 0.94]
    """
    from scipy.stats import nct, t

    if n < 2:
        return math.nan
    shift, critical = abs(delta) / sd * math.sqrt(n), float(t.isf(alpha / sides, n - 1))
    power = float(nct.sf(critical, n - 1, shift))
    # The chance to reject in the wrong direction; scipy's is NaN at times where it is below 1e-9.
    wrong = float(np.nan_to_num(nct.cdf(-critical, n - 1, shift))) if sides == 2 else 0.0
    return power + wrong


def detectable_difference(sd: float, n: int, alpha: float = 0.05, power: float = 0.8, sides: Sides = 2) -> float:
    """The smallest true difference that n pairs show with this power; NaN for fewer than two pairs.

    Args:
        sd: Standard deviation of the paired differences.
        n: Pairs.
        alpha: Significance level.
        power: In (alpha, 1).
        sides: As in `paired_t_power`.

    >>> round(detectable_difference(sd=0.5, n=10), 3)
    0.498
    """
    return sd * _detectable_effect(n, alpha, power, sides)


@lru_cache(maxsize=1024)  # the rows of a table share a few numbers of pairs
def _detectable_effect(n: int, alpha: float, power: float, sides: Sides) -> float:
    """The detectable difference in standard deviations."""
    from scipy.optimize import brentq

    if n < 2:
        return math.nan
    most = 1.0
    while paired_t_power(most, 1, n, alpha, sides) < power:
        most *= 2
    return float(brentq(lambda effect: paired_t_power(effect, 1, n, alpha, sides) - power, 0, most, xtol=1e-9))


def pairs_needed(sd: float, delta: float, alpha: float = 0.05, power: float = 0.8, sides: Sides = 2) -> int:
    """The fewest pairs that show a true difference of `delta` with this power; about 7.85 (sd / delta)² + 2.

    Args:
        sd: Standard deviation of the paired differences.
        delta: The difference that matters, not 0.
        alpha: Significance level.
        power: In (alpha, 1).
        sides: As in `paired_t_power`.

    Raises:
        ValueError: If delta is 0, which no number of pairs shows.

    >>> pairs_needed(sd=0.5, delta=0.5), pairs_needed(sd=0.5, delta=0.2)
    (10, 52)
    """
    if delta == 0:
        raise ValueError("delta=0 is not allowed; no number of pairs shows a difference of 0")
    enough = 2
    while paired_t_power(delta, sd, enough, alpha, sides) < power:
        enough *= 2
    fewer = enough // 2  # not enough, or fewer than 2
    while enough - fewer > 1:
        middle = (fewer + enough) // 2
        if middle >= 2 and paired_t_power(delta, sd, middle, alpha, sides) >= power:
            enough = middle
        else:
            fewer = middle
    return enough
