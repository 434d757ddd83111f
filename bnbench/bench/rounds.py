"""Turns and spreads: sides take turns, ratios are taken within a round, and the spread is over rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Measures the wall time and the processor time of this process since it was made.

    Processor time is summed over all threads of the process. Waiting for other processes is in the wall time alone.
    """

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._processor = time.process_time()

    @property
    def wall_seconds(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def processor_seconds(self) -> float:
        return time.process_time() - self._processor

    def rates(self, steps: float) -> dict[str, float]:
        """So many trial-steps per second of processor time, `rate`, and of wall time, `wall_rate`."""
        return {"rate": steps / self.processor_seconds, "wall_rate": steps / self.wall_seconds}


@dataclass(frozen=True)
class Spread:
    """The median and range of a quantity over some rounds.

    Attributes:
        median: The median over the rounds.
        low: The least value.
        high: The greatest value.
        values: The value of each round.
    """

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0, values=(3.0, 1.0, 2.0))
        """
        return cls(statistics.median(values), min(values), max(values), tuple(values))


def ratio(over: Spread, under: Spread) -> Spread:
    """One side's values divided by another's, round by round, so that what slows a whole round cancels.

    The median is that of the rounds' ratios, not the ratio of the medians.
    """
    return Spread.of([a / b for a, b in zip(over.values, under.values, strict=True)])


def turns(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """The order of the sides in each round; it rotates, so that none always follows the same other.

    >>> list(turns(["a", "b", "c"], 2))
    [['a', 'b', 'c'], ['b', 'c', 'a']]
    """
    for number in range(rounds):
        start = number % len(names)
        yield [*names[start:], *names[:start]]


def alternate(sides: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each side once per round, all of a round before the next; returns what each returned, by round."""
    measured: dict[str, list[T]] = {name: [] for name in sides}
    for order in turns(list(sides), rounds):
        for name in order:
            measured[name].append(sides[name]())
    return measured
