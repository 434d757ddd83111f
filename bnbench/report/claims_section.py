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
        id: The claim's id.
        sentence: The claim in full, with its source.
        verdict: The verdict, and whether it is exploratory.
        evidence: What the verdict rests on.
        beside: One line each for the criterion, for remarks and for tests that do not decide.
        published: One line for each publication with numbers.
    """

    id: str
    sentence: str
    verdict: str
    evidence: str
    beside: list[str]
    published: list[str]


def judge_claims(analysis: Analysis) -> list[Judgment]:
    """Judge every claim that the sweep recorded before its runs; none before all of its trials are trained.

    Testing again and again as trials come in would find effects that are not there, but for sweeps that go on until
    their claims are settled: their tests allow for the looks.
    """
    judged = analysis.table.record.asked.until_claims or not analysis.unfinished
    return claims_touched(analysis) if judged else []


def verdict(judgment: Judgment) -> str:
    """The verdict, and whether it is exploratory."""
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
