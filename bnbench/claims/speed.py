"""How many times as many steps, or seconds, one arm takes as another, where runs may never reach the target."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from bnbench.analysis import Analysis
from bnbench.analysis.censored import Ratio, StepsComparison, compare_steps
from bnbench.analysis.steps import within_budget
from bnbench.analysis.timing import seconds_ratio
from bnbench.claims.claim import Kind, Test, Verdict
from bnbench.claims.claim_files import SECONDS, SUSTAINED
from bnbench.claims.decide import Finding, one_sided_p, verdict_near
from bnbench.claims.values import NoDataError, Setting, TestedArm
from bnbench.record import names


def from_steps(test: Test, setting: Setting, analysis: Analysis) -> list[Finding]:
    """A finding for each target that the setting's model has.

    Where only the slower arm has misses, the ratio is a bound: it can show that this arm is slower, never that it is
    not. Without a ratio the finding is inconclusive.

    Raises:
        NoDataError: If seconds are asked for and an arm was not timed.
    """
    assert setting.b is not None
    both = pd.concat([setting.a.trials, setting.b.trials])
    budget = float(both["training.steps"].min())
    pace = _pace(analysis, setting.a, setting.b) if test.measure == SECONDS else _Pace(0.0, 0.0, 0.0)
    findings = []
    for target in analysis.targets:
        if both[names.reached(target)].isna().all():
            continue  # a target of another model
        steps = analysis.steps.to_target(target, sustained=test.measure == SUSTAINED)
        a, b = (within_budget(arm.trials, steps, budget) for arm in (setting.a, setting.b))
        findings.append(_finding(test, {**setting.where, "target": target}, compare_steps(a, b, budget), pace))
    return findings


class _Pace(NamedTuple):
    """Log of how much longer a's step takes than b's: the estimate, and the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


def _pace(analysis: Analysis, a: TestedArm, b: TestedArm) -> _Pace:
    seconds = analysis.step_seconds
    timed = [next((seconds[key] for key in arm.trials["key"] if key in seconds), None) for arm in (a, b)]
    if timed[0] is None or timed[1] is None:
        sweep = analysis.table.record.asked.name
        raise NoDataError(f"its steps were not timed: python -m bnbench time +sweep={sweep}, left alone on the machine")
    ratio = seconds_ratio(timed[0], timed[1])
    if ratio.low is None or ratio.high is None:
        raise NoDataError("its steps were timed in one round only: give time more --rounds")
    return _Pace(math.log(ratio.mean), math.log(ratio.low), math.log(ratio.high))


def _finding(test: Test, where: dict[str, Any], comparison: StepsComparison, pace: _Pace) -> Finding:
    met = f"the target was reached in {comparison.reached_a} and {comparison.reached_b} of {comparison.n} pairs"
    if comparison.ratio is None:
        return Finding(where, Verdict.inconclusive, comparison.n, note=f"no ratio: {met}")
    assert test.margin is not None
    threshold = math.log(test.margin.value)
    # A bound can show one side only. The seconds per step enter with the cautious end of their interval.
    logs = comparison.log_ratios
    p = {
        "above": 1.0 if comparison.kind == Ratio.at_most else one_sided_p(logs + pace.low, threshold, "greater"),
        "below": 1.0 if comparison.kind == Ratio.at_least else one_sided_p(logs + pace.high, threshold, "less"),
    }
    mean = comparison.ratio.mean * math.exp(pace.mean)
    low = math.nan if comparison.ratio.low is None else comparison.ratio.low * math.exp(pace.low)
    high = math.nan if comparison.ratio.high is None else comparison.ratio.high * math.exp(pace.high)
    exact = comparison.kind == Ratio.exact
    bound = "" if exact else f"{comparison.kind.replace('_', ' ')}, for {met}"
    finding = Finding(
        where,
        Verdict.inconclusive,
        comparison.ratio.n,
        mean,
        low,
        high,
        "times",
        p,
        note="; ".join(filter(None, [comparison.ratio.remark, bound])),
        differences=None if test.measure == SECONDS else logs.to_numpy(),  # seconds have an error of their own
        only={Ratio.at_least: "above", Ratio.at_most: "below"}.get(comparison.kind, ""),
    )
    if test.kind != Kind.near:
        return finding
    if not exact:
        return replace(finding, p={}, differences=None)
    return replace(finding, verdict=verdict_near(test, low, high), p={})
