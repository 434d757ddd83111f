"""What is told of a difference after several looks: an estimate without bias, and an interval that allows for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnbench.analysis.sequential.boundaries import Boundary
from bnbench.analysis.sequential.evidence import summarize, weigh

ORDERS = 4000
"""How many orders are drawn: the estimate is then off by a twentieth of a standard error, a tenth where few pass."""


def estimate(differences: np.ndarray, margin: float | None, passed: Sequence[Boundary], orders: int = ORDERS) -> float:
    """The mean difference, corrected for having stopped when the pairs looked decisive.

    The plain mean is too far from 0 after an early stop on average. The mean of the first look's pairs is not, for it
    is there whatever follows, but it wastes the others. The estimate is the expected mean of the first look's pairs
    given all pairs, in whatever order their seeds had come, and given that no look before the last one settled the
    contrast (Rao & Blackwell). So it is unbiased whatever the distribution of the differences. It averages over random
    orders drawn from a fixed seed, and the order seen. After one look it is the plain mean.

    Args:
        differences: The pairs' differences in the order of their seeds; NaN where a pair does not count.
        margin: As in `evidence.weigh`.
        orders: How many random orders are drawn.
        passed: The boundaries of the looks before the last, none of which was reached, ascending.
    """
    if not passed:
        return float(np.nanmean(differences)) if not np.isnan(differences).all() else math.nan
    generator = np.random.Generator(np.random.PCG64(19470320))
    shuffled = generator.permuted(np.broadcast_to(differences, (orders, len(differences))), axis=1)
    shuffled = np.concatenate([differences[None], shuffled])
    for look in passed:
        found = weigh(shuffled[:, : look.pairs], margin)
        shuffled = shuffled[~(found.differs(look) | found.equivalent(look))]
    firsts = shuffled[:, : passed[0].pairs]
    firsts = firsts[~np.isnan(firsts).all(1)]
    return float(np.nanmean(firsts, axis=1).mean()) if len(firsts) else math.nan


def stopped_interval(differences: np.ndarray, side: float) -> tuple[float, float] | None:
    """The interval around the mean of a contrast that was looked at until a stopping rule let go of it.

    It holds the means that the tests of `evidence.weigh` do not reject at the nominal level of a sweep's last look,
    which is stricter than that of a single look. No contrast is settled on weaker evidence, so one whose difference
    was settled beyond a margin has its whole interval there.

    Args:
        differences: The pairs' differences; NaN where a pair does not count.
        side: The nominal level of each of the interval's sides: `Boundary.side` of the last look, at the level at which
            a single contrast would be tested.

    Returns:
        Its bounds; None where there are fewer than two differences or all are equal.
    """
    from scipy.stats import t

    n, mean, sd, skewness = (float(value) for value in summarize(differences))
    if n < 2 or sd == 0:
        return None
    quantile = float(t.isf(side, n - 1)) / math.sqrt(n)
    lowest, highest = (_uncorrected(sign * quantile, skewness, n) for sign in (1, -1))
    return mean - sd * max(quantile, lowest), mean + sd * max(quantile, -highest)


def _uncorrected(corrected: float, skewness: float, n: float) -> float:
    """The distance of a mean, in standard deviations, whose correction for skewness gives `corrected`."""
    if abs(skewness) < 1e-6:
        return corrected
    return 3 / skewness * (float(np.cbrt(1 + skewness * (corrected - skewness / (6 * n)))) - 1)
