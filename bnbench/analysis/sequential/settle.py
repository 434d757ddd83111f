"""Which contrasts of a sweep are settled, look after look: a pure function of their pairs.

A family of contrasts shares one level alpha. At each look an open contrast is tested at alpha divided by the number of
open contrasts, both for a difference and for equivalence: what a settled one no longer needs passes to the others, at
this look and all later ones, and no earlier look is taken again (Holm; Maurer & Bretz 2013). A difference beyond the
margin and one within it exclude each other, so of a contrast's two conclusions at most one can be false, and the level
need not be split between them. Hence the chance of any false conclusion in the family, a false difference or a false
equivalence, is at most alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bnbench.analysis.intervals import Interval
from bnbench.analysis.sequential.boundaries import Boundary, boundaries
from bnbench.analysis.sequential.estimate import estimate, repeated_interval
from bnbench.analysis.sequential.evidence import weigh
from bnbench.analysis.sequential.looks import looks_up_to
from bnbench.analysis.sequential.paired_outcomes import PairedOutcomes
from bnbench.analysis.sequential.seeds_needed import seeds_for_difference, seeds_for_success
from bnbench.analysis.sequential.settlement import Settlement, State
from bnbench.analysis.significance import ALPHA, mcnemar_p


@dataclass(frozen=True)
class SequentialDesign:
    """When a sweep looks, and how probably it may conclude anything false.

    Attributes:
        looks: The numbers of pairs at which it looks, ascending; the last is the cap.
        alpha: The chance that any of its contrasts is settled wrongly; each interval covers 1 - alpha.
    """

    looks: tuple[int, ...]
    alpha: float = ALPHA

    @classmethod
    def up_to(cls, max_seeds: int) -> SequentialDesign:
        """The design with the usual looks up to a cap; see `looks_up_to`."""
        return cls(looks_up_to(max_seeds))


def settle(design: SequentialDesign, family: Sequence[PairedOutcomes]) -> list[Settlement]:
    """How each contrast of the family stands, as far as its pairs have ended.

    A look is taken once all contrasts that are open have its pairs, and sees only those: so the answer does not depend
    on when, or how often, it is asked for, nor on pairs that were trained beyond the look.

    Args:
        design: The looks and the level.
        family: The contrasts that are judged together.

    Returns:
        One settlement a contrast, in the order of the family.
    """
    replay = [_Replay(contrast, design) for contrast in family]
    for look in range(len(design.looks)):
        still_open = [one for one in replay if one.state == State.open]
        if not still_open or min(one.contrast.complete for one in still_open) < design.looks[look]:
            break
        for one in still_open:
            one.looked = look + 1
        while still_open:
            level = design.alpha / len(still_open)
            settled = [one for one in still_open if one.test(level)]
            if not settled:
                break
            still_open = [one for one in still_open if one not in settled]
    return [one.settlement() for one in replay]


class _Replay:
    """One contrast, as it goes from look to look."""

    def __init__(self, contrast: PairedOutcomes, design: SequentialDesign) -> None:
        self.contrast = contrast
        self.design = design
        self.looked = 0  # how many looks were taken
        self.state = State.open
        self.larger: Literal["a", "b"] | None = None
        self.level = math.nan
        self.tested: dict[int, Boundary] = {}  # by look, the last boundary that it was held against

    @property
    def seen(self) -> PairedOutcomes:
        return self.contrast.first(self.looks[-1] if self.looked else 0)

    @property
    def looks(self) -> tuple[int, ...]:
        return self.design.looks[: self.looked]

    def test(self, level: float) -> bool:
        """Whether the contrast is settled at the present look, at this level of all looks together."""
        seen, self.level = self.seen, level
        boundary = self.tested[self.looked] = boundaries(level, self.looks)[-1]
        if seen.failed:
            if mcnemar_p(seen.only_a, seen.only_b) <= 2 * boundary.side:
                self.state, self.larger = State.failing, "a" if seen.only_a > seen.only_b else "b"
            return self.state != State.open
        found = weigh(seen.differences, seen.margin)
        if found.differs(boundary):
            self.state, self.larger = State.different, "a" if found.above < found.below else "b"
        elif found.equivalent(boundary):
            self.state = State.equivalent
        return self.state != State.open

    def settlement(self) -> Settlement:
        seen, pairs = self.seen, self.looks[-1] if self.looked else 0
        d = seen.differences[~np.isnan(seen.differences)]
        passed = [] if seen.failed else [self.tested[look] for look in range(1, self.looked)]
        mean = estimate(seen.differences, seen.margin, passed)
        low, high = repeated_interval(seen.differences, self.looks, self.design.alpha) or (None, None)
        if self.state != State.open:
            seeds = float(pairs)
        elif not pairs:
            seeds = math.nan
        elif seen.failed:
            seeds = seeds_for_success(seen.only_a, seen.only_b, self.level, pairs)
        else:
            sd = float(d.std(ddof=1)) if len(d) > 1 else math.nan
            seeds = seeds_for_difference(mean, sd, seen.margin, self.level, pairs)
        return Settlement(
            self.state, pairs, self.larger, Interval(len(d), mean, low, high), seen.failed, self.level, seeds
        )
