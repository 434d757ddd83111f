"""From paired differences to a verdict in each setting: raw p values first, then their correction and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.intervals import mean_interval
from bnbench.analysis.significance import (
    ALPHA,
    Alternative,
    equivalence_p,
    holm,
    paired_t_p,
    seeds_suffice,
    sign_flip_p,
)
from bnbench.claims.claim import Kind, Test, Verdict


@dataclass(frozen=True)
class Finding:
    """What one test shows in one setting.

    Attributes:
        where: The setting's params, and `target` where steps are compared.
        verdict: What the data say in this setting.
        n: Number of pairs, or of seeds where one level's own values are tested.
        estimate: The effect, in `unit`; NaN where there is none.
        low: Lower bound of the effect's 95 % interval; NaN without one.
        high: Upper bound of that interval; NaN without one.
        unit: Unit of `estimate`, `low` and `high`; "pp" marks fractions that are shown in percentage points.
        p: p values by where they show the effect to lie: "above" the margin, "below" it or "within" it; Holm-adjusted
            once `correct` was called.
        note: What the reader must know besides the numbers.
    """

    where: dict[str, Any]
    verdict: Verdict
    n: int = 0
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    p: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class TestResult:
    """What one test of a claim shows.

    Attributes:
        test: The test.
        verdict: The verdict over all its settings.
        evidence: What the verdict rests on, in a sentence.
        findings: One finding per setting.
    """

    __test__ = False

    test: Test
    verdict: Verdict
    evidence: str
    findings: tuple[Finding, ...] = ()


def from_differences(test: Test, where: dict[str, Any], d: pd.Series[float], unit: str) -> Finding:
    """The estimate, its interval and its raw p values; the verdict waits for `correct`.

    Args:
        test: The test, which has the kind and the margin.
        where: The setting.
        d: Differences a - b by seed, or a's own values.
        unit: Unit of the differences, for the finding.
    """
    assert test.margin is not None
    interval, margin = mean_interval(d.to_numpy()), test.margin.size
    if test.kind == Kind.greater:
        p = {"above": one_sided_p(d, margin, "greater"), "below": one_sided_p(d, margin, "less")}
    else:
        p = {
            "above": one_sided_p(d, margin, "greater"),
            "below": one_sided_p(d, -margin, "less"),
            "within": _equivalence(d, margin),
        }
    low, high = (math.nan if bound is None else bound for bound in (interval.low, interval.high))
    return Finding(where, Verdict.inconclusive, interval.n, interval.mean, low, high, unit, p, interval.remark)


def from_success(where: dict[str, Any], a: pd.Series[float], b: pd.Series[float], note: str) -> Finding:
    """What the paired successes say: one-sided exact McNemar tests both ways.

    Args:
        where: The setting.
        a: By seed, 1 if a's trial trained and 0 if not.
        b: The same for b.
        note: The finding's note.
    """
    from scipy.stats import binomtest

    seeds = a.index.intersection(b.index)
    x, y = a.loc[seeds].to_numpy(), b.loc[seeds].to_numpy()
    only_a, only_b = int(((x == 1) & (y == 0)).sum()), int(((x == 0) & (y == 1)).sum())
    untied = only_a + only_b

    def p(successes: int) -> float:
        return float(binomtest(successes, untied, alternative="greater").pvalue) if untied else 1.0

    estimate = float(np.mean(x - y)) if len(seeds) else math.nan
    return Finding(
        where,
        Verdict.inconclusive,
        len(seeds),
        estimate,
        unit="pp",
        p={"above": p(only_a), "below": p(only_b)},
        note=note,
    )


def correct(test: Test, findings: Sequence[Finding]) -> list[Finding]:
    """The findings with p values corrected for the settings of their test, and with their verdicts.

    A family is all settings of one test and one direction; claims are not corrected for each other. A finding without p
    values, such as an undefined one, keeps its verdict and is in no family.
    """
    family = [finding for finding in findings if finding.p]
    adjusted: list[dict[str, float]] = [{} for _ in family]
    for side in dict.fromkeys(side for finding in family for side in finding.p):
        having = [i for i, finding in enumerate(family) if side in finding.p]
        for i, p in zip(having, holm([family[i].p[side] for i in having]), strict=True):
            adjusted[i][side] = p
    decided = iter(
        _decided(test, replace(finding, p=p), len(family)) for finding, p in zip(family, adjusted, strict=True)
    )
    return [next(decided) if finding.p else finding for finding in findings]


def _decided(test: Test, finding: Finding, family: int) -> Finding:
    if not seeds_suffice(finding.n, family):
        settings = "" if family == 1 else f" for {family} settings"
        note = f"too few seeds: {finding.n}{settings}"
        return replace(finding, note="; ".join(filter(None, [finding.note, note])))
    alpha = ALPHA if test.kind in {Kind.greater, Kind.success, Kind.ratio} else ALPHA / 2
    above, below = (finding.p.get(side, math.nan) <= alpha for side in ("above", "below"))
    within = finding.p.get("within", math.nan) <= ALPHA
    if test.kind == Kind.equivalent:
        verdict = Verdict.refuted if above or below else Verdict.supported if within else Verdict.inconclusive
    elif above or below:
        verdict = Verdict.supported if above else Verdict.refuted
    else:
        verdict = Verdict.equivalent if within else Verdict.inconclusive
    return replace(finding, verdict=verdict)


def one_sided_p(d: pd.Series[float], margin: float, alternative: Alternative) -> float:
    """The p value of the paired t test, or of the sign-flip test where all differences are equal and have no spread."""
    values = d.to_numpy()
    p = paired_t_p(values, margin, alternative)
    return sign_flip_p(values, margin, alternative) if math.isnan(p) and len(values) > 1 else p


def _equivalence(d: pd.Series[float], margin: float) -> float:
    p = equivalence_p(d.to_numpy(), margin)
    return max(one_sided_p(d, -margin, "greater"), one_sided_p(d, margin, "less")) if math.isnan(p) else p
