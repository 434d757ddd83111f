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
        differences: What the estimate is the mean of: logs where the unit is "times", 1, 0 or -1 where successes are
            compared; None where there is nothing to weigh.
        of_success: Whether it compares how often two arms train.
        only: The one side, "above" or "below", that can be shown where the differences are bounds; else empty.
        trials: The keys of the trials that it is about.
        ended: Of how many seeds all of these trials have ended.
        seeds: Of a sweep that goes on until its claims are settled: with how many seeds the setting would probably be
            settled, `math.inf` beyond 10,000; NaN where it is, or where no number of seeds settles it.
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
    differences: np.ndarray | None = field(default=None, repr=False, compare=False)
    of_success: bool = False
    only: str = ""
    trials: tuple[str, ...] = field(default=(), repr=False)
    ended: int = 0
    seeds: float = math.nan

    @property
    def is_worth_seeds(self) -> bool:
        """Whether further seeds may settle it, and fewer than 10,000 probably do."""
        return math.isfinite(self.seeds)


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
    return Finding(
        where, Verdict.inconclusive, interval.n, interval.mean, low, high, unit, p, interval.remark, d.to_numpy()
    )


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
        differences=x - y,
        of_success=True,
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
    return replace(finding, verdict=verdict_where(test, above=above, below=below, within=within))


def verdict_where(test: Test, *, above: bool, below: bool, within: bool) -> Verdict:
    """The verdict of a test whose effect is shown to lie above its margin, below it or within it, or nowhere."""
    if test.kind == Kind.equivalent:
        return Verdict.refuted if above or below else Verdict.supported if within else Verdict.inconclusive
    if above or below:
        return Verdict.supported if above else Verdict.refuted
    return Verdict.equivalent if within else Verdict.inconclusive


def verdict_near(test: Test, low: float, high: float) -> Verdict:
    """Supported if a ratio's interval holds the value and lies within the margin; refuted if it misses the value."""
    assert test.value is not None
    assert test.margin is not None
    if math.isnan(low):
        return Verdict.inconclusive
    if not low <= test.value <= high:
        return Verdict.refuted
    inside = test.value / test.margin.value <= low and high <= test.value * test.margin.value
    return Verdict.supported if inside else Verdict.inconclusive


def one_sided_p(d: pd.Series[float], margin: float, alternative: Alternative) -> float:
    """The p value of the paired t test, or of the sign-flip test where all differences are equal and have no spread."""
    values = d.to_numpy()
    p = paired_t_p(values, margin, alternative)
    return sign_flip_p(values, margin, alternative) if math.isnan(p) and len(values) > 1 else p


def _equivalence(d: pd.Series[float], margin: float) -> float:
    p = equivalence_p(d.to_numpy(), margin)
    return max(one_sided_p(d, -margin, "greater"), one_sided_p(d, margin, "less")) if math.isnan(p) else p
