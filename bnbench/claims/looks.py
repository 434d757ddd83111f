"""A claim's tests at several looks: which settings are settled after the seeds so far, and what the others would take.

Both directions of a test share one level, which is spent over the looks and divided by the settings that are still
open (see `bnbench.analysis.sequential`): an effect is settled where its 95 % interval, which allows for the looks,
would lie beyond the margin. What a setting is settled as at one look, it stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bnbench.analysis.design import comparable
from bnbench.analysis.sequential.boundaries import Boundary, boundaries
from bnbench.analysis.sequential.estimate import estimate, stopped_interval
from bnbench.analysis.sequential.evidence import summarize, weigh
from bnbench.analysis.sequential.looks import looks_up_to
from bnbench.analysis.sequential.seeds_needed import seeds_for_difference, seeds_for_success
from bnbench.analysis.significance import ALPHA
from bnbench.claims.claim import Claim, Kind, Test, Verdict
from bnbench.claims.decide import Finding, verdict_near, verdict_where

_WITH_EQUIVALENCE = {Kind.two_sided, Kind.equivalent}


def looks_of(claim: Claim) -> tuple[int, ...]:
    """The numbers of seeds at which a claim is judged, where its sweep goes on until its claims are settled."""
    return looks_up_to(claim.max_seeds)


def settle_test(test: Test, looks: Sequence[int], after: Callable[[int], list[Finding]]) -> list[Finding]:
    """The findings of a test, as the looks so far have settled them.

    Args:
        test: The test.
        looks: Numbers of seeds, ascending; the last is the cap.
        after: The findings on the first so many seeds, not yet corrected.
    """
    settings: dict[Any, _Setting] = {}
    for look, seeds in enumerate(looks):
        found = after(seeds)
        for finding in found:
            settings.setdefault(_key(finding), _Setting(test, tuple(looks), finding))
        here = [(settings[_key(finding)], finding) for finding in found if finding.ended >= seeds]
        here = [(one, finding) for one, finding in here if one.is_open]
        for one, finding in here:
            one.finding = finding
        here = [(one, finding) for one, finding in here if one.is_open]
        while here:
            level = ALPHA / sum(one.is_open for one in settings.values())
            settled = [one for one, _ in here if one.test_at(look, level)]
            if not settled:
                break
            here = [(one, finding) for one, finding in here if one not in settled]
    return [one.told() for one in settings.values()]


class _Setting:
    """One setting of a test, as it goes from look to look."""

    def __init__(self, test: Test, looks: tuple[int, ...], finding: Finding) -> None:
        self.finding = finding
        self._test = test
        self._looks = looks
        self._passed: list[Boundary] = []  # of each look taken, the boundary that the setting was held against last
        self._verdict = Verdict.inconclusive

    @property
    def is_open(self) -> bool:
        """Whether further seeds may settle it: not where it has nothing that could be weighed."""
        return self._verdict == Verdict.inconclusive and self.finding.differences is not None

    def test_at(self, look: int, level: float) -> bool:
        """Whether it is settled at a look, with this level for all looks together."""
        boundary = boundaries(level, self._looks)[look]
        self._passed[look:] = [boundary]
        self._verdict = self._verdict_at(boundary)
        return self._verdict != Verdict.inconclusive

    def told(self) -> Finding:
        """The finding with its verdict, an estimate and an interval that allow for the looks, and the seeds needed."""
        finding, d = self.finding, self.finding.differences
        if d is None or not self._passed:
            return replace(finding, p={})
        if finding.of_success:
            return replace(finding, p={}, verdict=self._verdict, seeds=self._seeds(finding.estimate))
        mean = estimate(d - self._null, self._margin, self._passed[:-1]) + self._null
        low, high = stopped_interval(d, boundaries(ALPHA, self._looks)[-1].side) or (math.nan, math.nan)
        seeds = self._seeds(mean)
        if finding.unit == "times":
            mean, low, high = math.exp(mean), math.exp(low), math.exp(high)
        if finding.only:
            low, high = (low, math.inf) if finding.only == "above" else (0.0, high)
        return replace(finding, p={}, verdict=self._verdict, estimate=mean, low=low, high=high, seeds=seeds)

    @property
    def _null(self) -> float:
        """What a mean is compared with; 0 where it is compared with a margin on either side."""
        assert self._test.margin is not None or self.finding.of_success
        if self._test.margin is None or self._test.kind in _WITH_EQUIVALENCE or self.finding.of_success:
            return 0.0
        return math.log(self._test.margin.value) if self.finding.unit == "times" else self._test.margin.size

    @property
    def _margin(self) -> float | None:
        with_margin = self._test.kind in _WITH_EQUIVALENCE and self._test.margin is not None
        return self._test.margin.size if with_margin and self._test.margin is not None else None

    def _verdict_at(self, boundary: Boundary) -> Verdict:
        finding, d = self.finding, self.finding.differences
        assert d is not None
        if self._test.kind == Kind.near:
            low, high = stopped_interval(d, boundary.side) or (math.nan, math.nan)
            return verdict_near(self._test, math.exp(low), math.exp(high))
        if finding.of_success:
            above, below = (finding.p[side] <= boundary.side for side in ("above", "below"))
            return verdict_where(self._test, above=above, below=below, within=False)
        found = weigh(d - self._null, self._margin)
        return verdict_where(
            self._test,
            above=bool(found.above <= boundary.side) and finding.only != "below",
            below=bool(found.below <= boundary.side) and finding.only != "above",
            within=bool(found.equivalent(boundary)),
        )

    def _seeds(self, mean: float) -> float:
        if not self.is_open:
            return math.nan
        d, last = self.finding.differences, boundaries(ALPHA, self._looks)[-1]
        assert d is not None
        if self.finding.of_success:
            return seeds_for_success(int((d > 0).sum()), int((d < 0).sum()), last, len(d))
        if self._test.kind == Kind.near:
            assert self._test.value is not None
            return seeds_for_difference(mean - math.log(self._test.value), float(summarize(d).sd), None, last, len(d))
        return seeds_for_difference(mean - self._null, float(summarize(d).sd), self._margin, last, len(d))


def _key(finding: Finding) -> Any:
    return tuple(sorted((key, repr(comparable(value))) for key, value in finding.where.items()))


def cost(findings: Sequence[Finding]) -> str:
    """What would settle the settings that are open, in words; empty where further seeds settle none."""
    still_open = [finding for finding in findings if not math.isnan(finding.seeds)]
    if not still_open:
        return ""
    within_reach = [finding for finding in still_open if math.isfinite(finding.seeds)]
    if not within_reach:
        return "what is open would take more than 10,000 seeds"
    more: dict[frozenset[str], float] = {}
    for finding in within_reach:
        trials = frozenset(finding.trials)
        a_seed = len(trials) / max(finding.ended, 1)
        more[trials] = max(more.get(trials, 0.0), (finding.seeds - finding.ended) * a_seed)
    seeds = max(finding.seeds for finding in within_reach)
    beyond = len(still_open) - len(within_reach)
    others = f", but for {beyond} of {len(still_open)} settings, more than 10,000" if beyond else ""
    return f"what is open would take about {seeds:,.0f} seeds ({sum(more.values()):,.0f} more trials){others}"
