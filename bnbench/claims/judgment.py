"""What a sweep says of a claim: code computes the verdict, from the sweep's table alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bnbench.analysis import Analysis
from bnbench.claims.claim import Claim, Combine, Kind, Statistic, Strata, Test, Verdict
from bnbench.claims.claim_files import parts
from bnbench.claims.computed import compute
from bnbench.claims.decide import Finding, TestResult, correct, from_differences, from_success
from bnbench.claims.history import recorded_claims, remarks
from bnbench.claims.looks import cost, looks_of, settle_test
from bnbench.claims.speed import from_steps
from bnbench.claims.values import NoDataError, Setting, settings
from bnbench.claims.wording import evidence_of, evidence_of_test
from bnbench.record import names
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_table import SweepTable


@dataclass(frozen=True)
class Judgment:
    """A claim and what the data say of it.

    Attributes:
        claim: The claim.
        verdict: What the data say of it.
        evidence: One sentence, with estimate, interval, number of pairs and p where there is one setting.
        results: The result of each test, the premise first.
        sweep: `<name>-<id>` of the sweep judged; empty if it was not run.
        exploratory: Whether the claim was written or changed after the runs.
        remarks: What the reader must know besides: why it is exploratory, or that seeds were added after a report.
        looks: The numbers of seeds at which it was judged, where seeds were added as long as it was open; else empty.
    """

    claim: Claim
    verdict: Verdict
    evidence: str
    results: tuple[TestResult, ...] = ()
    sweep: str = ""
    exploratory: bool = False
    remarks: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()

    @property
    def seeds(self) -> str:
        """How many seeds its settings had: `10`, or `10 to 64`; empty where no test of it needs any."""
        had = [finding.ended for one in self.results if one.test.decides for finding in one.findings if finding.ended]
        return " to ".join(str(number) for number in dict.fromkeys([min(had), max(had)])) if had else ""

    @property
    def open_findings(self) -> list[Finding]:
        """The findings on which an inconclusive verdict waits, and which further seeds may settle."""
        if self.verdict != Verdict.inconclusive:
            return []
        waiting = [one for one in self.results if one.test.decides and one.verdict == Verdict.inconclusive]
        return [finding for one in waiting for finding in one.findings if not math.isnan(finding.seeds)]


def judge(claim: Claim, analysis: Analysis) -> Judgment:
    """The claim's verdict on a sweep: look by look, where the sweep went on until its claims were settled."""
    looks = looks_of(claim) if analysis.table.record.asked.looks else ()
    premise = [_result(claim.premise, analysis, looks)] if claim.premise else []
    results = [_result(test, analysis, looks) for test in claim.tests]
    decisive = [result.verdict for result in results if result.test.decides]
    verdict = _conjunction(decisive) if claim.combine == Combine.conditions else _over(decisive, Strata.all)
    if premise and premise[0].verdict == Verdict.refuted:
        verdict = Verdict.untestable
    elif premise and premise[0].verdict not in {Verdict.supported, Verdict.exact}:
        verdict = Verdict.inconclusive
    everything = [*premise, *results]
    table = analysis.table
    exploratory, notes = remarks(claim, table)
    sweep = table.record.title
    judgment = Judgment(
        claim, verdict, evidence_of(everything), tuple(everything), sweep, exploratory, tuple(notes), looks
    )
    if looks and verdict == Verdict.inconclusive:
        would_take = cost(judgment.open_findings) or "no number of seeds settles it"
        judgment = replace(judgment, evidence=f"{judgment.evidence}; {would_take}")
    return judgment


def trials_of(claim: Claim, analysis: Analysis) -> set[str]:
    """The keys of the trials on which the claim's verdict rests, as far as its sweep has them."""
    tests = [test for test in (claim.premise, *claim.tests) if test and test.decides and not test.missing]
    rest_on = [finding for test in tests if test.kind != Kind.computed for finding in _findings(test, analysis)]
    return {key for finding in rest_on for key in finding.trials}


def not_run(claim: Claim, recorded: int = 0, planned: int = 0) -> Judgment:
    """An inconclusive judgment on a claim whose trials are not all recorded; it says how to run them.

    Args:
        claim: The claim.
        recorded: How many of the trials in the claim's sweep file are recorded.
        planned: How many trials that file has.
    """
    why = f"it needs {'; '.join(claim.missing)}" if claim.missing else f"run it: python -m bnbench +sweep={claim.sweep}"
    so_far = f"{recorded:,} of {planned:,} trials of its sweep's file are recorded; " if recorded else ""
    return Judgment(claim, Verdict.inconclusive, f"not run; {so_far}{why}")


def claims_touched(analysis: Analysis, claims: Mapping[str, Claim] | None = None) -> list[Judgment]:
    """The judgments on every claim that a sweep is made for.

    Claims are taken from the table, where the sweep recorded them before its runs: nothing else is read.

    Args:
        analysis: The sweep's analysis.
        claims: Further claims by id, such as ones written since. Those that name this sweep and were not recorded are
            judged too, as exploratory.
    """
    recorded = recorded_claims(analysis.table)
    later = {id: claim for id, claim in (claims or {}).items() if claim.sweep == analysis.table.record.asked.name}
    return [_judge_here(claim, analysis) for claim in {**later, **recorded}.values()]


def _judge_here(claim: Claim, analysis: Analysis) -> Judgment:
    """The judgment if the sweep trained all that the claim's file asks for, as is assumed where it does not say."""
    recorded = analysis.table.record.asked.claims.get(claim.id)
    left_out = 0 if recorded is None else recorded.left_out
    if not left_out:
        return judge(claim, analysis)
    why = f"{left_out:,} of the trials that its sweep's file asks for are not in this sweep"
    return Judgment(claim, Verdict.inconclusive, f"not judged here; {why}")


def _result(test: Test, analysis: Analysis, looks: Sequence[int]) -> TestResult:
    if test.missing:
        return TestResult(test, Verdict.inconclusive, f"not run; it needs {test.missing}")
    try:
        findings = _decided(test, analysis, looks)
    except NoDataError as error:
        return TestResult(test, Verdict.inconclusive, f"not run; {error}")
    verdict = _over([finding.verdict for finding in findings], test.strata)
    return TestResult(test, verdict, evidence_of_test(test, findings, verdict), tuple(findings))


def _decided(test: Test, analysis: Analysis, looks: Sequence[int]) -> list[Finding]:
    if test.kind == Kind.computed:
        return [compute(test, analysis.table)]
    if looks:
        return settle_test(test, looks, lambda seeds: _findings(test, _on_first(seeds, analysis)))
    return correct(test, _findings(test, analysis))


def _on_first(seeds: int, analysis: Analysis) -> Analysis:
    """The analysis as it stood after so many seeds."""
    table = analysis.table
    first = sorted(table.reporting["seed"].unique())[:seeds]
    trials = table.trials[table.trials["tuning"].astype(bool) | table.trials["seed"].isin(first)]
    return Analysis(SweepTable(table.record, trials, table.curves))


def _findings(test: Test, analysis: Analysis) -> list[Finding]:
    """What each setting shows, not yet corrected for the others."""
    findings: list[Finding] = []
    for setting in settings(test, analysis):
        findings += [_about(setting, finding) for finding in _shown(test, setting, analysis)]
    return findings


def _about(setting: Setting, finding: Finding) -> Finding:
    trials = pd.concat([arm.trials for arm in (setting.a, setting.b) if arm is not None])
    ended = (trials["status"] != MISSING).groupby(trials["seed"].to_numpy()).all()
    return replace(finding, trials=tuple(trials["key"]), ended=int(ended.sum()))


def _shown(test: Test, setting: Setting, analysis: Analysis) -> list[Finding]:
    arms = [arm for arm in (setting.a, setting.b) if arm is not None]
    undefined = [level for level, arm in zip(test.levels, arms, strict=False) if arm.undefined]
    if undefined:
        reason = f"{' and '.join(filter(None, undefined))} has no result by definition"
        return [Finding(setting.where, Verdict.undefined, note=reason)]
    edge = [level for level, arm in zip(test.levels, arms, strict=False) if arm.at_edge]
    if edge:
        note = f"the best learning rate of {' and '.join(filter(None, edge))} lies at the edge of the grid"
        return [Finding(setting.where, Verdict.inconclusive, note=note)]
    if test.kind in {Kind.ratio, Kind.near}:
        return from_steps(test, setting, analysis)
    return [_finding(test, setting)]


def _finding(test: Test, setting: Setting) -> Finding:
    a, b = setting.a, setting.b
    if test.kind == Kind.success:
        assert b is not None
        return from_success(setting.where, a.trained, b.trained, "")
    lost = sum(int((arm.trained == 0).sum()) for arm in (a, b) if arm is not None)
    if b is None:
        d = a.values
    else:
        seeds = a.values.index.intersection(b.values.index).sort_values()
        d = a.values.loc[seeds] - b.values.loc[seeds]
    if lost and test.statistic == Statistic.value and _of_trained(test):
        return _led_by_success(test, setting, d.mean() if len(d) else float("nan"), lost)
    return from_differences(test, setting.where, d, unit_of(test))


def _led_by_success(test: Test, setting: Setting, among_survivors: float, lost: int) -> Finding:
    """The finding where trials failed: success decides if more of the measure is better; else it is inconclusive."""
    note = f"{lost} {'trial' if lost == 1 else 'trials'} diverged or collapsed"
    if setting.b is None or not _higher_is_better(test) or test.kind == Kind.equivalent:
        return Finding(setting.where, Verdict.inconclusive, note=f"{note}: what the others measured is descriptive")
    return from_success(setting.where, setting.a.trained, setting.b.trained, f"{note}, so success decides")


def _higher_is_better(test: Test) -> bool:
    keys = parts(test.measure)
    return len(keys) == 1 and not test.measure.startswith("|") and names.metric(keys[0]).better == "higher"


def _of_trained(test: Test) -> bool:
    """Whether the measure needs a trained network, so that failed trials lack it, unlike a gradient's size."""
    return any(key.startswith(("train/", "val/", "test/")) for key in parts(test.measure))


def unit_of(test: Test) -> str:
    """The unit of a test's effects, which is its margin's."""
    assert test.margin is not None
    return test.margin.unit


def _over(verdicts: Sequence[Verdict], strata: Strata) -> Verdict:
    """One verdict for several settings; undefined ones do not count, unless all are."""
    defined = [verdict for verdict in verdicts if verdict != Verdict.undefined]
    if not defined:
        return Verdict.undefined
    if strata == Strata.any and Verdict.supported in defined:
        return Verdict.supported
    if len({*defined}) == 1:
        return defined[0]
    if strata == Strata.any and Verdict.inconclusive not in defined:
        return Verdict.refuted
    if strata == Strata.all and (
        Verdict.inconclusive not in defined or {Verdict.supported, Verdict.refuted} <= {*defined}
    ):
        return Verdict.depends
    return Verdict.inconclusive


def _conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several tests that must all hold."""
    counts = Counter(verdicts)
    if counts[Verdict.refuted]:
        return Verdict.refuted
    if counts[Verdict.depends]:
        return Verdict.depends
    if len(counts) == 1:
        return verdicts[0]
    if {*counts} <= {Verdict.supported, Verdict.exact, Verdict.undefined}:
        return Verdict.supported if counts[Verdict.supported] else Verdict.exact
    return Verdict.inconclusive
