"""Which contrasts of a sweep are settled, look after look: a pure function of their pairs.

A family of contrasts shares one level alpha. At each look an open contrast is tested at alpha divided by the number of
open contrasts, both for a difference and for equivalence: what a settled one no longer needs passes to the others, at
this look and all later ones, and no earlier look is taken again (Holm; Maurer & Bretz 2013). A difference beyond the
margin and one within it exclude each other, so of a contrast's two conclusions at most one can be false, and the level
is not split between them. For differences alone it follows that the chance of any false one is at most alpha. For both
kinds together that is no theorem, because a contrast that is rightly called equivalent passes its level on as well; the
simulation that the page on statistics shows finds 5.1 % at most.

Two levels of which every trial failed are not told apart by further ones: their contrast takes no further part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bnbench.analysis.intervals import Interval
from bnbench.analysis.sequential.boundaries import Boundary, boundaries
from bnbench.analysis.sequential.estimate import estimate, stopped_interval
from bnbench.analysis.sequential.evidence import summarize, weigh
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
        alpha: The chance that any of its contrasts is settled wrongly, at most.
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
    for look, pairs in enumerate(design.looks):
        still_open = [one for one in replay if one.state == State.open]
        if not still_open or min(one.contrast.complete for one in still_open) < pairs:
            break
        while still_open:
            level = design.alpha / (len(still_open) + sum(one.keeps_its_share for one in replay))
            settled = [one for one in still_open if one.test(look, level)]
            if not settled:
                break
            still_open = [one for one in still_open if one not in settled]
    return [one.settlement() for one in replay]


class _Replay:
    """One contrast, as it goes from look to look."""

    def __init__(self, contrast: PairedOutcomes, design: SequentialDesign) -> None:
        self.contrast = contrast
        self.design = design
        self.held: list[Boundary] = []  # of each look taken, the boundary that the contrast was held against last
        self.level = math.nan
        self.state = State.open
        self.larger: Literal["a", "b"] | None = None

    def test(self, look: int, level: float) -> bool:
        """Whether the contrast is settled at a look, at this level of all looks together."""
        self.level, boundary = level, boundaries(level, self.design.looks)[look]
        self.held[look:] = [boundary]
        seen = self.contrast.first(boundary.pairs)
        if seen.failed:
            if mcnemar_p(seen.only_a, seen.only_b) <= 2 * boundary.side:
                self.state, self.larger = State.failing, "a" if seen.only_a > seen.only_b else "b"
            elif not ((seen.trained_a == 1).any() or (seen.trained_b == 1).any()):
                self.state = State.failing
            return self.state != State.open
        found = weigh(seen.differences, seen.margin)
        if found.differs(boundary):
            self.state, self.larger = State.different, "a" if found.above < found.below else "b"
        elif found.equivalent(boundary):
            self.state = State.equivalent
        return self.state != State.open

    @property
    def keeps_its_share(self) -> bool:
        """Whether it ended without a conclusion that could be false, so that its share of the level passes to none."""
        return self.state == State.failing and self.larger is None

    def settlement(self) -> Settlement:
        """How the contrast stands after the looks taken."""
        pairs = self.held[-1].pairs if self.held else 0
        seen = self.contrast.first(pairs)
        mean = estimate(seen.differences, seen.margin, [] if seen.failed else self.held[:-1])
        side = boundaries(self.design.alpha, self.design.looks)[-1].side
        low, high = stopped_interval(seen.differences, side) or (None, None)
        return Settlement(
            state=self.state,
            pairs=pairs,
            larger=self.larger,
            estimate=Interval(int((~np.isnan(seen.differences)).sum()), mean, low, high),
            descriptive=seen.failed,
            level=self.level,
            seeds=float(pairs) if self.state != State.open else self._seeds(seen, mean),
        )

    def _seeds(self, seen: PairedOutcomes, mean: float) -> float:
        if not self.held:
            return math.nan
        last = boundaries(self.level, self.design.looks)[-1]
        if seen.failed:
            return seeds_for_success(seen.only_a, seen.only_b, last, len(seen.differences))
        return seeds_for_difference(
            mean, float(summarize(seen.differences).sd), seen.margin, last, len(seen.differences)
        )
