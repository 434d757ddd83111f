"""The verdicts that bnbench's authors came to, which ship with it to stand beside the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import yaml

from bnbench.claims.claim import Claim, Verdict
from bnbench.claims.judgment import Judgment

_FILE = Path(__file__).with_name("ours.yaml")


@dataclass(frozen=True)
class Ours:
    """A verdict as it was found.

    Attributes:
        verdict: In a word.
        exploratory: The claim was written or changed after the runs.
        evidence: What it stands on.
        sweep: The sweep that was judged.
        date: The month of the judgment, `2026-11`.
        hash: Of the claim as it was judged.
    """

    verdict: Verdict
    exploratory: bool
    evidence: str
    sweep: str
    date: str
    hash: str

    def said_of(self, claim: Claim) -> str:
        """The verdict; marked where it was exploratory, or is of a claim that read otherwise."""
        mark = "*" if self.exploratory or self.hash != claim.hash else ""
        return f"{self.verdict}{mark}"


@cache
def load_ours() -> dict[str, Ours]:
    """The shipped verdicts by the claims' ids."""
    rows = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {id: Ours(**{**row, "verdict": Verdict(row["verdict"])}) for id, row in rows.items()}


def write_verdicts(judgments: Sequence[Judgment], path: Path, date: str) -> int:
    """Write the verdicts on all claims that were judged, in the form of the shipped file; returns how many.

    Args:
        judgments: Those without a sweep are left out.
        path: The file.
        date: The month.
    """
    rows = {
        judgment.claim.id: {
            **asdict(
                Ours(
                    judgment.verdict,
                    judgment.exploratory,
                    judgment.evidence,
                    judgment.sweep,
                    date,
                    judgment.claim.hash,
                )
            ),
            "verdict": str(judgment.verdict),
        }
        for judgment in judgments
        if judgment.sweep
    }
    text = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"# Written by `python -m bnbench claims --save FILE`.\n{text}", encoding="utf-8")
    return len(rows)
