"""With how many seeds an open contrast would probably be settled, if the truth were as it looks now."""

from __future__ import annotations

import math

import numpy as np

from bnbench.analysis.sequential.boundaries import Boundary

MOST = 10_000
"""The most seeds that are told: beyond, an extrapolation is not worth its digits."""

_POWER = 0.8


def seeds_for_difference(mean: float, sd: float, margin: float | None, last: Boundary, pairs: int) -> float:
    """The seeds that show the difference to lie beyond the margin or within it, with 80 % power.

    Args:
        mean: The mean difference, as if it were the truth.
        sd: Standard deviation of the paired differences.
        margin: As in `evidence.weigh`.
        last: The boundary of a sweep's last look, which that of a longer sweep differs little from.
        pairs: How many pairs there are.

    Returns:
        A number > pairs; `math.inf` where more than `MOST` would be needed.
    """
    if math.isnan(mean):
        return math.inf
    n = np.arange(pairs + 1, MOST + 1)
    if not sd > 0:  # the sign-flip test then decides, see `evidence.weigh`
        beyond, within = abs(mean) > (margin or 0.0), margin is not None and abs(mean) < margin
        level = last.side if beyond else last.within if within else 0.0
        return _first(n, (0.5**n <= level).astype(float)) if level else math.inf
    effect, distance = abs(mean) / sd * np.sqrt(n), (margin or 0.0) / sd * np.sqrt(n)
    power = _ndtr(effect - distance - _z(last.side))
    if margin is not None:
        equivalent = _ndtr(distance - effect - _z(last.within)) + _ndtr(distance + effect - _z(last.within)) - 1
        power = np.maximum(power, equivalent)
    return _first(n, power)


def seeds_for_success(only_a: int, only_b: int, last: Boundary, pairs: int) -> float:
    """The seeds that show which level trains more often, with 80 % power; see `seeds_for_difference`.

    Args:
        only_a: The number of pairs in which only a succeeded, as if its share were the truth.
        only_b: The same for b.
        last: As in `seeds_for_difference`.
        pairs: How many pairs there are.
    """
    untied = only_a + only_b
    if not untied:
        return math.inf
    n = np.arange(pairs + 1, MOST + 1)
    share = max(only_a, only_b) / untied
    beyond = (2 * share - 1) * np.sqrt(n * untied / pairs) - _z(last.side)
    return _first(n, _ndtr(beyond / max(2 * math.sqrt(share * (1 - share)), 1e-9)))


def _first(n: np.ndarray, power: np.ndarray) -> float:
    enough = np.flatnonzero(power >= _POWER)
    return float(n[enough[0]]) if len(enough) else math.inf


def _z(level: float) -> float:
    from scipy.special import ndtri

    return -float(ndtri(level))


def _ndtr(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return np.asarray(ndtr(z))
