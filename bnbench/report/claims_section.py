"""The claims that a sweep was made for: verdict, evidence, and published numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnbench.analysis import Analysis
from bnbench.claims import Judgment, claims_touched


@dataclass(frozen=True)
class ClaimSaid:
    """A claim as the report shows it.

    Attributes:
        id: Of its file.
        sentence: The claim in full, with who says so.
        verdict: In a word, and whether it is exploratory.
        evidence: What the verdict stands on.
        beside: Criterion, remarks and tests that do not decide, each a line.
        published: Numbers from the literature, each a line.
    """

    id: str
    sentence: str
    verdict: str
    evidence: str
    beside: list[str]
    published: list[str]


def judge_claims(analysis: Analysis) -> list[Judgment]:
    """On every claim that the sweep recorded before its runs; on none before all of its trials are trained.

    To test again and again as trials come in would find what is not there.
    """
    return [] if analysis.unfinished else claims_touched(analysis)


def verdict(judgment: Judgment) -> str:
    """In a word, and whether it is exploratory."""
    return f"{judgment.verdict}{', exploratory' if judgment.exploratory else ''}"


def claims_said(judgments: Sequence[Judgment]) -> list[ClaimSaid]:
    """The claims that were judged, in words."""
    judged = []
    for judgment in judgments:
        claim = judgment.claim
        others = [result for result in judgment.results if not result.test.decides]
        judged.append(
            ClaimSaid(
                id=claim.id,
                sentence=f"{claim.sentence} ({claim.source})",
                verdict=verdict(judgment),
                evidence=judgment.evidence,
                beside=[
                    f"Criterion: {claim.criterion}",
                    *judgment.remarks,
                    *(f"Beside, {result.test.name}: {result.verdict}; {result.evidence}" for result in others),
                ],
                published=[
                    f"{one.source}, {one.what}: {', '.join(f'{name} {value}' for name, value in one.numbers.items())}"
                    for one in claim.published
                ],
            )
        )
    return judged
