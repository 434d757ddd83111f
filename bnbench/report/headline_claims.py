"""The answers of a sweep that goes on until its claims are settled: one sentence a claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bnbench.claims import Judgment, Verdict
from bnbench.claims.looks import cost
from bnbench.report.claims_section import verdict
from bnbench.report.headline import MOST_WORDS, Headline
from bnbench.report.standing import State


def claim_headlines(judgments: Sequence[Judgment]) -> list[Headline]:
    """One headline for each claim: its verdict and, where there is room, what settled it or would settle it."""
    return [_headline(judgment) for judgment in judgments]


def _headline(judgment: Judgment) -> Headline:
    named = f"{judgment.claim.id}, {judgment.claim.title}"
    room = MOST_WORDS - len(named.split())
    ways = [*_ways(judgment)]
    words = next((way for way in ways if len(way.split()) <= room), ways[-1])
    return Headline(named, words, State.open if judgment.verdict == Verdict.inconclusive else State.different)


def _ways(judgment: Judgment) -> Iterator[str]:
    """The verdict with ever less beside it."""
    said = verdict(judgment)
    if would_take := cost(judgment.open_findings):
        yield f"{said}; {would_take}"
    if judgment.seeds:
        yield f"{said} after {judgment.seeds} seeds"
    yield said
