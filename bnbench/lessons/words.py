"""Words of a lesson's answer that follow its numbers."""

from __future__ import annotations

from bnbench.analysis.intervals import Interval


def by_sign(interval: Interval, *, above: str, below: str, unclear: str) -> str:
    """The words that the interval of a difference bears out.

    Args:
        interval: An estimate with its interval.
        above: For an interval that lies above 0.
        below: For one that lies below 0.
        unclear: For one that holds 0, and where there is none.

    Example:
        >>> by_sign(Interval(8, 2.0, 1.0, 3.0), above="more", below="less", unclear="cannot tell")
        'more'
        >>> by_sign(Interval(8, 2.0, -1.0, 5.0), above="more", below="less", unclear="cannot tell")
        'cannot tell'
    """
    if interval.low is not None and interval.low > 0:
        return above
    if interval.high is not None and interval.high < 0:
        return below
    return unclear
