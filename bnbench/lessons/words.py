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


def in_points(interval: Interval) -> str:
    """The interval of a difference of accuracies, in percentage points, with its pairs.

    Example:
        >>> in_points(Interval(5, 0.07, 0.05, 0.091)), in_points(Interval(1, -0.5, None, None))
        ('+7.0 pp, +5.0 to +9.1, 5 pairs', '-50.0 pp, 1 pair')
        >>> in_points(Interval(0, float("nan"), None, None))
        'no pair to compare'
    """
    if not interval.n:
        return "no pair to compare"
    bounds = (
        ""
        if interval.low is None or interval.high is None
        else f"{_points(interval.low)} to {_points(interval.high)}, "
    )
    return f"{_points(interval.mean)} pp, {bounds}{interval.n} {'pair' if interval.n == 1 else 'pairs'}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
