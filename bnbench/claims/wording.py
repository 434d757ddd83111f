"""Findings in words: one sentence for each test and one for each claim."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bnbench.claims.claim import Statistic, Test, Verdict
from bnbench.claims.decide import Finding, TestResult

_MINUS = "\N{MINUS SIGN}"
_STATISTICS = {Statistic.value: "", Statistic.share: "share of settings near the arm's best "}


def evidence_of(results: Sequence[TestResult]) -> str:
    """The deciding tests' evidence as one sentence."""
    deciding = [result for result in results if result.test.decides]
    if len(deciding) == 1:
        return deciding[0].evidence
    return "; ".join(f"{result.test.name}: {result.verdict}, {result.evidence}" for result in deciding)


def evidence_of_test(test: Test, findings: Sequence[Finding], verdict: Verdict) -> str:
    """What a test rests on: its numbers if it has one setting; else how often each verdict occurs, with their range."""
    if len(findings) == 1:
        return one_finding(test, findings[0])
    parts = []
    counts = Counter(finding.verdict for finding in findings)
    for said, number in counts.most_common():
        some = [finding for finding in findings if finding.verdict == said]
        where = f" ({place(some[0].where)})" if number == 1 and len(findings) <= 12 else ""
        parts.append(f"{said} in {number} of {len(findings)} settings{where}{_extent(test, some)}")
    return "; ".join(parts)


def one_finding(test: Test, finding: Finding) -> str:
    """A finding's numbers: `batch - none is +3.10 pp (95 % interval +2.10 to +4.00 pp, 10 pairs, p = .0004)`."""
    if math.isnan(finding.estimate):
        return finding.note or "no value"
    n = f"{finding.n} {'pairs' if test.levels[1] else 'seeds'}"
    inside = [] if math.isnan(finding.low) else [f"95 % interval {_span(finding)}"]
    inside += [n, *_p(finding)]
    note = f"; {finding.note}" if finding.note else ""
    what = "success" if test.kind == "success" else test.measure if test.measure != "test/acc" else "test accuracy"
    statistic = _STATISTICS.get(test.statistic, f"{test.statistic.replace('_', ' ')} of ")
    operation = " / " if finding.unit == "times" else " - "
    contrast = operation.join(filter(None, test.levels))
    text = f"{statistic}{what}, {contrast}: {amount(finding.estimate, unit=finding.unit)} ({', '.join(inside)}){note}"
    return text if test.contrast else finding.note


def amount(*values: float, unit: str) -> str:
    """A number with its unit, or the first and last of several.

    >>> amount(0.031, unit="pp"), amount(2.31, unit="times")
    ('+3.10 pp', '2.31 times')
    >>> amount(0.5, 1, unit="decades")
    '+0.5 to +1 decades'
    """
    numbers = dict.fromkeys(_number(value, unit) for value in values)
    return f"{' to '.join(numbers)} {unit}"


def _number(value: float, unit: str) -> str:
    if unit == "times":
        return f"{value:.3g}"
    return (f"{100 * value:+.2f}" if unit == "pp" else f"{value:+.3g}").replace("-", _MINUS)


def place(where: Mapping[str, Any]) -> str:
    """A setting in words: `fc, model.depth=3`."""
    return ", ".join(
        str(value) if key in {"data", "model", "norm"} else f"{key.removeprefix('training.')}={_text(value)}"
        for key, value in where.items()
        if value is not None
    )


def _span(finding: Finding) -> str:
    return amount(finding.low, finding.high, unit=finding.unit)


def _extent(test: Test, findings: Sequence[Finding]) -> str:
    known = [finding for finding in findings if not math.isnan(finding.estimate)]
    if not known:
        notes = {finding.note for finding in findings if finding.note}
        return f": {notes.pop()}" if len(notes) == 1 else ""
    estimates = [finding.estimate for finding in known]
    fewest = min(finding.n for finding in known)
    extent = amount(min(estimates), max(estimates), unit=known[0].unit)
    return f": {extent}, {fewest} {'pairs' if test.levels[1] else 'seeds'} or more"


def _p(finding: Finding) -> list[str]:
    known = [p for p in finding.p.values() if not math.isnan(p)]
    if not known:
        return []
    p = min(known)
    return ["p < .0001" if p < 1e-4 else f"p = {p:.2g}".replace("0.", ".", 1)]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
