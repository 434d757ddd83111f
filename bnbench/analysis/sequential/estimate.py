"""What is told of a difference after several looks: an estimate without bias, and an interval that allows for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnbench.analysis.intervals import are_equal
from bnbench.analysis.sequential.boundaries import Boundary, nominal_levels
from bnbench.analysis.sequential.evidence import weigh

_ORDERS = 4000  # the estimate then differs by less than .02 standard errors from that of all orders


def estimate(differences: np.ndarray, margin: float | None, passed: Sequence[Boundary]) -> float:
    """The mean difference, corrected for having stopped when the pairs looked decisive.

    The plain mean is too far from 0 after an early stop on average. The mean of the first look's pairs is not, for it
    is there whatever follows, but it wastes the others. The estimate is the expected mean of the first look's pairs
    given all pairs, in whatever order their seeds had come, and given that no look before the last one settled the
    contrast (Rao & Blackwell). So it is unbiased whatever the distribution of the differences. It averages over random
    orders drawn from a fixed seed, and the order seen. After one look it is the plain mean.

    Args:
        differences: The pairs' differences in the order of their seeds; NaN where a pair does not count.
        margin: As in `evidence.weigh`.
        passed: The boundaries of the looks before the last, none of which was reached, ascending.
    """
    if not passed:
        return float(np.nanmean(differences)) if not np.isnan(differences).all() else math.nan
    generator = np.random.Generator(np.random.PCG64(19470320))
    orders = generator.permuted(np.broadcast_to(differences, (_ORDERS, len(differences))), axis=1)
    orders = np.concatenate([differences[None], orders])
    for look in passed:
        found = weigh(orders[:, : look.pairs], margin)
        orders = orders[~(found.differs(look) | found.equivalent(look))]
    firsts = orders[:, : passed[0].pairs]
    firsts = firsts[~np.isnan(firsts).all(1)]
    return float(np.nanmean(firsts, axis=1).mean()) if len(firsts) else math.nan


def repeated_interval(differences: np.ndarray, looks: tuple[int, ...], alpha: float) -> tuple[float, float] | None:
    """The interval that covers the true mean at all looks at once with probability 1 - alpha.

    It is the t interval at the last look's nominal level, so whatever made a sweep stop, it holds.

    Args:
        differences: The pairs' differences; NaN where a pair does not count.
        looks: The looks so far; the pairs are those of the last.
        alpha: The chance that any look's interval misses.

    Returns:
        Its bounds; None where there are fewer than two differences or all are equal.

    References:
        Jennison & Turnbull (1989), Interim analyses: the repeated confidence interval approach.
    """
    from scipy.stats import t

    d = differences[~np.isnan(differences)]
    if len(d) < 2 or are_equal(d):
        return None
    half = float(t.isf(nominal_levels(alpha / 2, looks)[-1], len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d)))
    return float(d.mean()) - half, float(d.mean()) + half
