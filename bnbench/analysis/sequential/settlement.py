"""What a sequential design says of one contrast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from bnbench.analysis.intervals import Interval


class State(StrEnum):
    """Whether a contrast is settled, and how."""

    different = "different"  # its difference lies beyond 0, or beyond the margin where one is named
    equivalent = "equivalent"  # its difference lies within the margin
    failing = "failing"  # trials failed, and one level trains more often than the other, or neither ever does
    open = "open"


@dataclass(frozen=True)
class Settlement:
    """How one contrast stands.

    Attributes:
        state: Whether it is settled, and how.
        pairs: After how many pairs it was settled; of an open contrast, the last look taken, or 0 before the first.
        larger: The level whose mean is larger, where they are different, or that trains more often, where that is
            settled; else None, also where neither ever trains.
        estimate: The mean difference a - b, corrected for having stopped when it looked decisive, over the pairs that
            count, and an interval around the plain mean that covers the truth in 95 of 100 sweeps in spite of that
            (see `estimate`). Bounds are None where no interval exists; see `Interval`.
        descriptive: Whether a trial of either arm failed, so that the estimate is of survivors only and settles
            nothing.
        level: The level at which it was tested last, that of all looks together: alpha divided by the number of
            contrasts that were open.
        seeds: With how many seeds it would be settled in 80 of 100 sweeps, if the truth were as estimated: `pairs`
            where it is settled, `math.inf` beyond 10,000, NaN before the first look.
    """

    state: State
    pairs: int
    larger: Literal["a", "b"] | None
    estimate: Interval
    descriptive: bool
    level: float
    seeds: float

    @property
    def settled(self) -> bool:
        """Whether the contrast takes no further part."""
        return self.state != State.open
