"""Which level a paired difference favours, and what speaks against concluding so."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from bnbench.analysis.contrast import Contrast
from bnbench.analysis.sequential import Settlement, State
from bnbench.analysis.significance import ALPHA

Answer = Literal["a", "b", "unclear"]
"""Which of two levels is better, as far as a sweep can tell."""


class Reading(StrEnum):
    """What a paired difference of two levels a - b supports."""

    a_leads = "a_leads"
    b_leads = "b_leads"
    unclear = "unclear"  # the interval covers zero
    equal = "equal"  # all pairs differ by the same amount
    one_pair = "one_pair"
    no_pair = "no_pair"
    equivalent = "equivalent"  # settled to lie within the margin
    open = "open"  # not settled, in a sweep that goes on until its contrasts are
    failed = "failed"  # a trial of either arm diverged or collapsed, so the numbers of successes decide


class Doubt(StrEnum):
    """Why a difference settles nothing, though its interval may leave out zero."""

    at_edge = "at_edge"  # a chosen learning rate is at its grid's edge, so a better one may lie beyond
    few_seeds = "few_seeds"  # even differences all of one sign could be chance in a family of this size
    not_corrected = "not_corrected"  # the p value is not significant after its correction


class ContrastVerdict(NamedTuple):
    """What a contrast supports, and the doubts about it.

    Attributes:
        reading: What the difference supports.
        doubts: Why it is inconclusive all the same; empty where nothing speaks against it.
    """

    reading: Reading
    doubts: tuple[Doubt, ...]

    @property
    def firm(self) -> bool:
        """Whether the difference may be read as it stands."""
        return self.reading != Reading.failed and not self.doubts


def judge_contrast(contrast: Contrast) -> ContrastVerdict:
    """What a contrast supports, and the doubts about it."""
    if contrast.settlement is not None:
        return ContrastVerdict(_settled_reading(contrast, contrast.settlement), ())
    reading, doubts = _reading(contrast), []
    if contrast.at_edge:
        doubts.append(Doubt.at_edge)
    if reading in {Reading.a_leads, Reading.b_leads}:
        if not contrast.seeds_suffice:
            doubts.append(Doubt.few_seeds)
        elif contrast.primary and contrast.adjusted_p > ALPHA:
            doubts.append(Doubt.not_corrected)
    return ContrastVerdict(reading, tuple(doubts))


def better_level(contrast: Contrast) -> Answer:
    """Which level is better, as far as a conclusion may go.

    Where a trial of either arm failed, their successes decide, by the exact McNemar test with Bonferroni's correction
    for the family. Otherwise the difference decides, where there is no doubt about it.
    """
    reading, doubts = judge_contrast(contrast)
    if doubts:
        return "unclear"
    if contrast.settlement is not None and reading == Reading.failed:
        return contrast.settlement.larger or "unclear"
    if reading == Reading.failed and contrast.p_mcnemar * max(1, contrast.family) <= ALPHA:
        (hits_a, of_a), (hits_b, of_b) = contrast.successes
        return "a" if hits_a * of_b > hits_b * of_a else "b"
    if reading not in {Reading.a_leads, Reading.b_leads}:
        return "unclear"
    return "a" if (reading == Reading.a_leads) == contrast.more_is_better else "b"


def _settled_reading(contrast: Contrast, settlement: Settlement) -> Reading:
    if settlement.state == State.different:
        return Reading.a_leads if settlement.larger == "a" else Reading.b_leads
    if settlement.state == State.equivalent:
        return Reading.equivalent
    if settlement.descriptive:
        return Reading.failed
    return Reading.open if contrast.n else Reading.no_pair


def _reading(contrast: Contrast) -> Reading:
    if contrast.descriptive:
        return Reading.failed
    low, high = contrast.interval.low, contrast.interval.high
    if contrast.n < 2:
        return Reading.one_pair if contrast.n else Reading.no_pair
    if low is None or high is None:
        return Reading.equal
    if low > 0:
        return Reading.a_leads
    return Reading.b_leads if high < 0 else Reading.unclear
