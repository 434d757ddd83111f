"""The claims as the terminal shows them: one line per claim, or one claim with all its evidence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bnbench.claims.claim import Test
from bnbench.claims.decide import Finding
from bnbench.claims.judgment import Judgment
from bnbench.claims.ours import load_ours
from bnbench.claims.wording import one_finding, place

_WIDTH = 118
_MOST_SETTINGS = 60


def list_claims(judgments: Sequence[Judgment]) -> str:
    """A line for each claim: its verdict here, bnbench's own, what it says, and the sweep that decided it."""
    shipped = load_ours()
    rows = [("", "here", "ours", "Batch norm …")]
    for judgment in judgments:
        ours = shipped.get(judgment.claim.id)
        here = _verdict(judgment) if judgment.sweep else "not run"
        title = f"{judgment.claim.title}  [{judgment.sweep}]" if judgment.sweep else judgment.claim.title
        rows.append((judgment.claim.id, here, ours.said_of(judgment.claim) if ours else "", title))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
    notes = ["Verdicts are corrected for the settings of a claim, not for the number of claims."]
    dates = sorted({shipped[judgment.claim.id].date for judgment in judgments if judgment.claim.id in shipped})
    if dates:
        notes.append(f"ours: what bnbench's authors found ({' to '.join(dict.fromkeys([dates[0], dates[-1]]))}).")
    if any(judgment.exploratory for judgment in judgments):
        notes.append("* exploratory: the claim was written or changed after the runs.")
    if any(not judgment.sweep for judgment in judgments):
        notes.append("Run what is missing: python -m bnbench +sweep=claims, or claims CLAIM --run quick.")
    return "\n".join([*lines, "", *notes])


def explain_claim(judgment: Judgment) -> str:
    """The claim, its verdict, and every test, setting by setting."""
    claim = judgment.claim
    lines = [f"{claim.id}: {claim.sentence}"]
    for head, text in (("source", claim.source), ("criterion", claim.criterion), ("sweep", _sweep(judgment))):
        lines += _wrapped(f"{head + ':':<11}{text}", 11)
    lines += ["", *_wrapped(f"verdict:   {_verdict(judgment)}; {judgment.evidence}", 11)]
    for remark in judgment.remarks:
        lines += _wrapped(f"           {remark}", 11)
    ours = load_ours().get(claim.id)
    if ours is not None:
        lines += _wrapped(f"ours:      {ours.said_of(claim)} ({ours.date}); {ours.evidence}", 11)
    for result in judgment.results:
        role = "" if result.test.decides else " (beside; it does not decide)"
        margin = f", margin {result.test.margin}" if result.test.margin else ""
        lines += ["", *_wrapped(f"{result.test.name}{margin}{role}: {result.verdict}", 2)]
        if len(result.findings) <= 1:
            lines += _wrapped(f"  {result.evidence}", 2)
        else:
            lines += _settings(result.test, result.findings)
    if claim.published:
        lines += ["", "published:"]
        for one in claim.published:
            numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items())
            lines += _wrapped(f"  {one.source}: {one.what}: {numbers}", 4)
    return "\n".join(lines)


def _settings(test: Test, findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings[:_MOST_SETTINGS]:
        yield from _wrapped(f"  {place(finding.where)}: {finding.verdict}; {one_finding(test, finding)}", 4)
    if len(findings) > _MOST_SETTINGS:
        yield f"  … and {len(findings) - _MOST_SETTINGS} more settings"


def _verdict(judgment: Judgment) -> str:
    return f"{judgment.verdict}{'*' if judgment.exploratory else ''}"


def _sweep(judgment: Judgment) -> str:
    return judgment.sweep or f"{judgment.claim.sweep}, not run"


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False) or [""]
