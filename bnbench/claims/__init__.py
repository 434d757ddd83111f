"""Claims: sentences about normalization, written before the runs, and what a sweep's table says of them.

Reading claim files is light; judging them needs pandas and scipy, which are imported then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnbench.claims.claim import Claim, Published, Test, Verdict
from bnbench.claims.claim_files import load_claims

if TYPE_CHECKING:
    from bnbench.claims.decide import TestResult
    from bnbench.claims.judgment import Judgment, claims_touched, judge, not_run, trials_of

__all__ = [
    "Claim",
    "Judgment",
    "Published",
    "Test",
    "TestResult",
    "Verdict",
    "claims_touched",
    "judge",
    "load_claims",
    "not_run",
    "trials_of",
]


def __getattr__(name: str) -> Any:
    if name not in {"Judgment", "TestResult", "claims_touched", "judge", "not_run", "trials_of"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("bnbench.claims.judgment"), name)
