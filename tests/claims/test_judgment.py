"""From tests to a verdict on a claim: settings, several tests, a premise, and what comes of data that are not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis import Analysis
from bnbench.claims import Claim, Judgment, Verdict, claims_touched, not_run
from bnbench.claims.claim_files import parse_claim, recorded
from bnbench.claims.judgment import judge as judge_analysed
from bnbench.claims.values import settings
from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.sweep_table import SweepTable

GREATER: dict[str, Any] = {"name": "accuracy", "kind": "greater", "contrast": "batch - none", "margin": "1 pp"}


def judge(claim: Claim, table: SweepTable) -> Judgment:
    return judge_analysed(claim, Analysis(table))


def claim_of(*tests: dict[str, Any], **more: Any) -> Claim:
    text = {"title": "t", "sentence": "s", "source": "me", "sweep": "mine", "criterion": "c", "tests": [*tests], **more}
    return parse_claim("MINE", text, "MINE.yaml")


def table_of(
    gain: Callable[[dict[str, Any]], float],
    *,
    axes: dict[str, list[Any]] | None = None,
    status: Callable[[dict[str, Any]], str] = lambda params: "finished",
    acc: Callable[[dict[str, Any]], float] = lambda params: 0.8,
    claims: tuple[Claim, ...] = (),
    seeds: int = 10,
    tuning: tuple[int, ...] = (),
    **meta: Any,
) -> SweepTable:
    """Two arms, batch ahead of none by `gain`, crossed with at most one axis."""
    rng = np.random.default_rng(3)
    key, values = next(iter((axes or {"model.depth": [3]}).items()))
    rows = []
    for value in values:
        for norm in ("none", "batch"):
            for seed in (*range(seeds), *tuning):
                params = {"seed": seed, "data": "digits", "norm": norm, key: value, "training.steps": 100}
                params.setdefault("optimizer.lr", 0.1)
                ended = status(params)
                score = acc(params) + (gain(params) if norm == "batch" else 0) + 0.003 * rng.standard_normal()
                scored = {names.TEST_ACC: score, names.ACC_BEST: score} if ended == "finished" else {}
                rows.append({"key": f"k{len(rows)}", "status": ended, "reason": "", **params, **scored})
    trials = pd.DataFrame(rows)
    trials["tuning"] = trials["seed"].isin(tuning)
    about = {
        "name": "mine",
        "id": "0a1b",
        "compare": ["norm"],
        "contrasts": [],
        "tuning_seeds": [*tuning],
        "varied": [key, "norm", "seed"],
        "claims": {claim.id: {"hash": claim.hash, "text": recorded(claim)} for claim in claims},
        "earlier": [],
    }
    return SweepTable(
        SweepRecord.from_json({**about, **meta}), trials, pd.DataFrame(columns=["key", "step", *names.CURVES])
    )


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0.05, 0.05), Verdict.supported),
        ((0.05, 0.01), Verdict.inconclusive),
        ((-0.05, -0.05), Verdict.refuted),
        ((0.05, -0.05), Verdict.depends),
    ],
)
def test_settings_agree_or_the_verdict_depends(gains: tuple[float, float], expected: Verdict) -> None:
    table = table_of(lambda p: gains[p["model.depth"] == 9], axes={"model.depth": [3, 9]})
    judgment = judge(claim_of(GREATER), table)
    assert judgment.verdict == expected
    assert [finding.where["model.depth"] for finding in judgment.results[0].findings] == [3, 9]


def test_a_claim_that_every_setting_settles_otherwise_depends() -> None:
    table = table_of(lambda p: 0.05 if p["model.depth"] == 9 else 0.0, axes={"model.depth": [3, 9]})
    judgment = judge(claim_of({**GREATER, "kind": "two_sided"}), table)
    assert [str(finding.verdict) for finding in judgment.results[0].findings] == ["equivalent", "supported"]
    assert judgment.verdict == Verdict.depends


def test_a_claim_of_some_setting_is_refuted_where_every_setting_denies_it() -> None:
    table = table_of(lambda p: -0.05 if p["model.depth"] == 9 else 0.0, axes={"model.depth": [3, 9]})
    assert judge(claim_of({**GREATER, "kind": "two_sided", "strata": "any"}), table).verdict == Verdict.refuted


def test_a_claim_of_some_setting_needs_one() -> None:
    table = table_of(lambda p: 0.05 if p["model.depth"] == 9 else -0.05, axes={"model.depth": [3, 9]})
    assert judge(claim_of({**GREATER, "strata": "any"}), table).verdict == Verdict.supported


BETTER, WORSE = {**GREATER, "name": "x"}, {**GREATER, "name": "y", "contrast": "none - batch"}
COMPUTED = {"name": "z", "kind": "computed", "check": "batch_of_one"}
UNRUN = {"name": "u", "kind": "greater", "missing": "a thing"}


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ([BETTER, BETTER], Verdict.supported),
        ([BETTER, WORSE], Verdict.refuted),
        ([BETTER, COMPUTED], Verdict.supported),
        ([COMPUTED], Verdict.exact),
        ([BETTER, UNRUN], Verdict.inconclusive),
        ([BETTER, {**WORSE, "decides": False}], Verdict.supported),
        ([{**GREATER, "kind": "two_sided", "margin": "20 pp"}], Verdict.equivalent),
    ],
)
def test_all_deciding_tests_must_hold(tests: list[dict[str, Any]], expected: Verdict) -> None:
    assert judge(claim_of(*tests), table_of(lambda p: 0.05)).verdict == expected


@pytest.mark.parametrize(
    ("tests", "expected"),
    [([BETTER, BETTER], Verdict.supported), ([WORSE, WORSE], Verdict.refuted), ([BETTER, WORSE], Verdict.depends)],
)
def test_tests_that_are_settings_of_one_claim_may_disagree(tests: list[dict[str, Any]], expected: Verdict) -> None:
    assert judge(claim_of(*tests, combine="settings"), table_of(lambda p: 0.05)).verdict == expected


@pytest.mark.parametrize(
    ("premise", "expected"),
    [(WORSE, Verdict.untestable), (BETTER, Verdict.supported), (UNRUN, Verdict.inconclusive)],
)
def test_a_claim_whose_premise_fails_is_not_testable_as_worded(premise: dict[str, Any], expected: Verdict) -> None:
    assert judge(claim_of(BETTER, premise=premise), table_of(lambda p: 0.05)).verdict == expected


def test_a_setting_without_a_result_by_definition_has_no_say_unless_there_is_no_other() -> None:
    def status(params: dict[str, Any]) -> str:
        return "undefined" if params["norm"] == "batch" and params["model.depth"] == 3 else "finished"

    both = judge(claim_of(GREATER), table_of(lambda p: 0.05, axes={"model.depth": [3, 9]}, status=status))
    assert both.verdict == Verdict.supported
    assert [finding.verdict for finding in both.results[0].findings] == [Verdict.undefined, Verdict.supported]
    alone = judge(claim_of(GREATER), table_of(lambda p: 0.05, status=status))
    assert alone.verdict == Verdict.undefined
    assert "batch has no result by definition" in alone.evidence


@pytest.mark.parametrize(
    ("fails", "expected"), [("none", Verdict.supported), ("batch", Verdict.refuted), ("", Verdict.supported)]
)
@pytest.mark.parametrize("how", ["diverged", "collapsed"])
def test_success_decides_where_trials_fail(fails: str, expected: Verdict, how: str) -> None:
    table = table_of(
        lambda p: 0.05 if p["norm"] != fails else 0,
        status=lambda p: "diverged" if p["norm"] == fails and how == "diverged" else "finished",
        acc=lambda p: 0.05 if p["norm"] == fails and how == "collapsed" else 0.8,
    )
    judgment = judge(claim_of(GREATER), table)
    assert judgment.verdict == expected
    assert ("10 trials diverged or collapsed, so success decides" in judgment.evidence) == bool(fails)


def test_one_failure_makes_the_difference_among_survivors_descriptive() -> None:
    table = table_of(
        lambda p: 0.1, status=lambda p: "diverged" if (p["norm"], p["seed"]) == ("none", 4) else "finished"
    )
    assert judge(claim_of(GREATER), table).verdict == Verdict.inconclusive


def _peaked(best: float) -> Callable[[dict[str, Any]], float]:
    return lambda p: 0.8 - 0.05 * abs(np.log10(p["optimizer.lr"] / best))


@pytest.mark.parametrize(("best", "expected"), [(0.1, Verdict.supported), (1.0, Verdict.inconclusive)])
def test_a_best_learning_rate_at_the_edge_of_its_grid_decides_nothing(best: float, expected: Verdict) -> None:
    axes = {"optimizer.lr": [0.01, 0.1, 1.0]}
    table = table_of(lambda p: 0.05, axes=axes, acc=_peaked(best), tuning=(100, 101, 102))
    judgment = judge(claim_of({**GREATER, "rates": "best"}), table)
    assert judgment.verdict == expected
    assert ("at the edge of the grid" in judgment.evidence) == (expected == Verdict.inconclusive)


def test_both_arms_at_the_others_best_learning_rate() -> None:
    """batch is best at 0.1, none at 0.01: at none's best, batch is behind."""
    rates = {"none": 0.01, "batch": 0.1}
    table = table_of(
        lambda p: 0.0,
        axes={"optimizer.lr": [0.001, 0.01, 0.1, 1.0]},
        acc=lambda p: _peaked(rates[p["norm"]])(p) + 0.02 * (p["norm"] == "batch"),
        tuning=(100, 101, 102),
    )
    test = {**GREATER, "rates": "best_of_b"}
    assert judge(claim_of(test), table).verdict == Verdict.refuted
    assert judge(claim_of({**test, "rates": "best"}), table).verdict == Verdict.supported
    (setting,) = settings(claim_of(test).tests[0], Analysis(table))
    assert setting.b is not None
    assert (setting.a.lr, setting.b.lr) == (0.01, 0.01)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"contrast": "layer - none"}, "the sweep has no 'layer'; it has none, batch"),
        ({"measure": "test/loss", "margin": "1 nats"}, "the sweep did not record test/loss"),
        ({"where": {"model.width": 3}}, "the sweep's trials have no model.width"),
        ({"where": {"model.depth": 7}}, "the sweep has no trials with {'model.depth': 7}"),
        ({"statistic": "range", "along": "model.depth"}, "the sweep does not vary model.depth"),
        ({"rates": "best"}, "the sweep has no tuning seeds"),
        ({"measure": "gradient/first", "at": "start", "margin": "1 loss / weight"}, "did not record gradient/first"),
    ],
)
def test_what_the_sweep_lacks_is_said_and_nothing_is_concluded(change: dict[str, Any], expected: str) -> None:
    judgment = judge(claim_of({**GREATER, **change}), table_of(lambda p: 0.05))
    assert judgment.verdict == Verdict.inconclusive
    assert "not run" in judgment.evidence
    assert expected in judgment.evidence


def test_a_claim_that_was_not_run_says_how_to_run_it_or_what_is_missing() -> None:
    assert "python -m bnbench +sweep=mine" in not_run(claim_of(GREATER)).evidence
    assert "it needs a thing" in not_run(claim_of(UNRUN)).evidence


def test_the_evidence_has_the_estimate_its_interval_the_pairs_and_p() -> None:
    evidence = judge(claim_of(GREATER), table_of(lambda p: 0.05)).evidence
    assert evidence.startswith("test accuracy, batch - none: +")
    for part in ("pp (95 % interval +", "10 pairs, p < .0001)"):
        assert part in evidence


# Before the runs, or after them.


def earlier(claim: Claim | None, seeds: range, status: str = "FINISHED") -> dict[str, Any]:
    claims = {} if claim is None else {claim.id: claim.hash}
    return {"id": "x", "created": "2026", "status": status, "seeds": [*seeds], "claims": claims}


CLAIM, OTHER = claim_of(GREATER), claim_of({**GREATER, "margin": "3 pp"})


@pytest.mark.parametrize(
    ("recorded_as", "before", "remark"),
    [
        (CLAIM, [], None),
        (CLAIM, [earlier(CLAIM, range(10))], None),
        (None, [], "the claim was written after the runs"),
        (OTHER, [], "the claim was changed after the runs"),
        (CLAIM, [earlier(OTHER, range(10))], "the claim was changed after the runs"),
        (CLAIM, [earlier(None, range(10))], "the claim was written after some of the runs"),
    ],
)
def test_a_claim_written_or_changed_after_the_runs_is_exploratory(
    recorded_as: Claim | None, before: list[dict[str, Any]], remark: str | None
) -> None:
    table = table_of(lambda p: 0.05, claims=() if recorded_as is None else (recorded_as,), earlier=before)
    judgment = judge(CLAIM, table)
    assert judgment.exploratory == (remark is not None)
    assert [*judgment.remarks] == ([] if remark is None else [f"exploratory: {remark}"])


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([], None),
        ([earlier(CLAIM, range(10))], None),
        ([earlier(CLAIM, range(5)), earlier(CLAIM, range(7))], "3 seeds (7-9) added after an earlier report"),
        ([earlier(CLAIM, range(5), "KILLED")], None),  # it left no report to look at
    ],
)
def test_seeds_added_after_a_report_are_counted_and_named(before: list[dict[str, Any]], said: str | None) -> None:
    remarks = judge(CLAIM, table_of(lambda p: 0.05, claims=(CLAIM,), earlier=before)).remarks
    assert [said in remark for remark in remarks] == [True] if said else remarks == ()


def test_the_report_judges_claims_as_they_were_recorded_and_later_ones_as_exploratory() -> None:
    table = table_of(lambda p: 0.05, claims=(OTHER,))
    (judgment,) = claims_touched(Analysis(table))
    assert (judgment.claim, judgment.exploratory) == (OTHER, False)
    later = claims_touched(
        Analysis(table_of(lambda p: 0.05)), {"MINE": CLAIM, "AWAY": claim_of(GREATER, sweep="another")}
    )
    assert [(judgment.claim.id, judgment.exploratory) for judgment in later] == [("MINE", True)]


# What becomes of a seed's trials.


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean", 0.02),
        ("range", 0.06),
        ("slope", 0.02),
        ("log_slope", 0.03),
        ("share", 0.0),
        ("best_of_8", 0.05),
    ],
)
def test_statistics_over_the_settings_of_a_seed(statistic: str, expected: float) -> None:
    """none scores 0.8 at depths 1, 2 and 4; batch is 0.01 below, level with and 0.05 above it."""
    gains = {1: -0.01, 2: 0.02, 4: 0.05}
    expected = {"slope": np.polyfit([1, 2, 4], [*gains.values()], 1)[0], "share": -2 / 3}.get(statistic, expected)
    table = table_of(lambda p: gains[p["model.depth"]], axes={"model.depth": [1, 2, 4]})
    table.trials[names.TEST_ACC] = table.trials[names.TEST_ACC].round(2)  # without the noise
    (setting,) = settings(
        claim_of({**GREATER, "statistic": statistic, "along": "model.depth"}).tests[0], Analysis(table)
    )
    assert setting.b is not None
    difference = setting.a.values - setting.b.values
    assert difference.mean() == pytest.approx(expected, abs=0.05 if statistic == "share" else 0.012)


def test_a_diverged_trial_counts_as_a_constant_prediction_in_a_range() -> None:
    table = table_of(
        lambda p: 0.0,
        axes={"model.depth": [3, 9]},
        status=lambda p: "diverged" if p["norm"] == "none" and p["model.depth"] == 9 else "finished",
    )
    test = {**GREATER, "contrast": "none - batch", "statistic": "range", "along": "model.depth"}
    (setting,) = settings(claim_of(test).tests[0], Analysis(table))
    assert setting.a.values.mean() == pytest.approx(0.7, abs=0.01)
    assert judge(claim_of(test), table).verdict == Verdict.supported


def test_the_best_of_few_draws_is_the_mean_over_all_choices() -> None:
    from itertools import combinations

    from bnbench.claims.values import _expected_best

    y = np.random.default_rng(5).random((2, 10))
    brute = [np.mean([max(row[list(chosen)]) for chosen in combinations(range(10), 8)]) for row in y]
    assert _expected_best(y, 8) == pytest.approx(brute)
