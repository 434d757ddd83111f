"""Which differences a sweep could have shown: the power of a paired t test, from the spread of its differences.

The spread is itself an estimate: with ten pairs, its 95 % interval is .69 to 1.83 times the estimate. So these numbers
help to plan a sweep and show what "cannot tell" is worth; they test nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bnbench.analysis.significance import ALPHA


def paired_t_power(delta: float, sd: float, n: int, alpha: float = ALPHA) -> float:
    """How probably a paired t test of n normal differences rejects "no difference" when the truth is `delta`.

    Args:
        delta: The true difference.
        sd: Standard deviation of the paired differences, > 0, in the same unit.
        n: Number of pairs.
        alpha: Significance level; divide it by the size of the family for the worst case of Holm.

    Returns:
        The power, in [0, 1]; NaN for fewer than two pairs.

    >>> [round(paired_t_power(1, 1, n, alpha=0.05 / 4), 2) for n in (5, 10, 20)]
    [0.15, 0.55, 0.94]
    """
    from scipy.stats import nct, t

    if n < 2:
        return math.nan
    shift, critical = abs(delta) / sd * math.sqrt(n), float(t.isf(alpha / 2, n - 1))
    power = float(nct.sf(critical, n - 1, shift))
    # Add the chance to reject in the wrong direction; scipy may give NaN where that is below 1e-9.
    return power + float(np.nan_to_num(nct.cdf(-critical, n - 1, shift)))


def detectable_difference(sd: float, n: int, alpha: float = ALPHA, power: float = 0.8) -> float:
    """The smallest true difference that n pairs show with this power; NaN for fewer than two pairs.

    Args:
        sd: Standard deviation of the paired differences.
        n: Pairs.
        alpha: Significance level.
        power: In (alpha, 1).

    >>> round(detectable_difference(sd=0.5, n=10), 3)
    0.498
    """
    return sd * _detectable_effect(n, alpha, power)


@lru_cache(maxsize=1024)  # the rows of a table share a few numbers of pairs
def _detectable_effect(n: int, alpha: float, power: float) -> float:
    """The detectable difference, in standard deviations of the paired differences."""
    from scipy.optimize import brentq

    if n < 2:
        return math.nan
    most = 1.0
    while paired_t_power(most, 1, n, alpha) < power:
        most *= 2
    return float(brentq(lambda effect: paired_t_power(effect, 1, n, alpha) - power, 0, most, xtol=1e-9))
