"""Claims judged at several looks: what settles a setting, what stays open, and how often chance is called an effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.analysis.sequential.looks import looks_up_to
from bnbench.claims import Test, Verdict
from bnbench.claims.claim_files import parse_claim
from bnbench.claims.decide import Finding, from_differences, from_success
from bnbench.claims.looks import cost, settle_test

LOOKS = looks_up_to(64)
SD = 0.01


def claim_test(**keys: Any) -> Test:
    test = {"name": "t", "kind": "greater", "contrast": "batch - none", "margin": "1 pp", **keys}
    text = {"title": "t", "sentence": "s", "source": "me", "sweep": "mine", "criterion": "c", "tests": [test]}
    return parse_claim("MINE", text, "MINE.yaml").tests[0]


def settled(test: Test, settings: Sequence[np.ndarray]) -> list[Finding]:
    """The findings on paired differences, one array for each setting."""

    def after(seeds: int) -> list[Finding]:
        return [_finding(test, number, d[:seeds]) for number, d in enumerate(settings)]

    return settle_test(test, LOOKS, after)


def _finding(test: Test, number: int, d: np.ndarray) -> Finding:
    found = from_differences(test, {"model.depth": number}, pd.Series(d), "pp")
    keys = tuple(f"{number} {arm} {seed}" for seed in range(len(d)) for arm in "ab")
    return replace(found, trials=keys, ended=len(d))


def drawn(mean: float, seed: int = 0, number: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, SD, number)


def test_a_large_effect_is_settled_at_the_first_look() -> None:
    [finding] = settled(claim_test(), [drawn(0.05)])
    assert (finding.verdict, finding.ended) == (Verdict.supported, 10)
    assert finding.low > 0.01
    assert math.isnan(finding.seeds)


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        ("greater", 0.0, Verdict.refuted),
        ("two_sided", 0.0, Verdict.equivalent),
        ("two_sided", -0.03, Verdict.refuted),
        ("equivalent", 0.0, Verdict.supported),
        ("equivalent", 0.03, Verdict.refuted),
    ],
)
def test_every_kind_comes_to_its_verdict(kind: str, mean: float, expected: Verdict) -> None:
    assert settled(claim_test(kind=kind), [drawn(mean)])[0].verdict == expected


def test_a_setting_needs_no_more_seeds_than_it_takes_and_keeps_its_verdict() -> None:
    """The small effect takes later looks, and its neighbour's verdict is of the first, whatever comes after."""
    turned = np.concatenate([drawn(0.05, number=10), drawn(-0.5, 1, 54)])
    first, second = settled(claim_test(), [turned, drawn(0.017, 2)])
    assert (first.verdict, first.ended) == (Verdict.supported, 10)
    assert second.verdict == Verdict.supported
    assert second.ended > 10


def test_arms_that_got_no_further_seeds_keep_the_others_from_nothing() -> None:
    first, second = settled(claim_test(), [drawn(0.0102, number=10), drawn(0.017, 2)])
    assert (first.verdict, first.ended) == (Verdict.inconclusive, 10)
    assert second.verdict == Verdict.supported


def test_what_is_open_says_how_many_seeds_and_trials_it_would_take() -> None:
    [finding] = settled(claim_test(), [drawn(0.0115, 5)])
    assert finding.verdict == Verdict.inconclusive
    assert finding.ended == 64
    assert 64 < finding.seeds < 10_000
    trials = 2 * (finding.seeds - 64)
    assert cost([finding]) == f"what is open would take about {finding.seeds:,.0f} seeds ({trials:,.0f} more trials)"


def test_differences_that_all_equal_the_margin_are_settled_by_no_number_of_seeds() -> None:
    [finding] = settled(claim_test(margin="0 pp"), [np.zeros(64)])
    assert finding.verdict == Verdict.inconclusive
    assert not finding.is_worth_seeds
    assert cost([finding]) == "what is open would take more than 10,000 seeds"


def test_differences_that_are_all_equal_beyond_the_margin_are_settled_by_their_number() -> None:
    [finding] = settled(claim_test(), [np.full(10, 0.05)])
    assert finding.verdict == Verdict.inconclusive, "p = .001, and the first look asks for .0004"
    assert finding.seeds == 11
    [finding] = settled(claim_test(), [np.full(16, 0.05)])
    assert (finding.verdict, finding.ended) == (Verdict.supported, 16)


def test_successes_are_settled_by_their_own_counts() -> None:
    where = {"model.depth": 3}

    def after(seeds: int) -> list[Finding]:
        a, b = pd.Series(np.ones(seeds)), pd.Series(np.zeros(seeds))
        return [replace(from_success(where, a, b, ""), ended=seeds)]

    [finding] = settle_test(claim_test(kind="success", margin=None), LOOKS, after)
    assert (finding.verdict, finding.ended) == (Verdict.supported, 16), "ten of ten have p = .001"


def test_chance_is_rarely_called_an_effect_after_all_looks() -> None:
    """Three settings without an effect beyond the margin."""
    test = claim_test()
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(120):
        found = settled(test, [*rng.normal(0.01, SD, (3, 64))])
        false += any(finding.verdict == Verdict.supported for finding in found)
    assert false <= 120 * 0.05 + 3 * math.sqrt(120 * 0.05 * 0.95)


def test_an_interval_after_early_stops_covers_the_truth() -> None:
    test = claim_test()
    rng = np.random.default_rng(8)
    found = [settled(test, [rng.normal(0.02, SD, 64)])[0] for _ in range(300)]
    covered = sum(finding.low <= 0.02 <= finding.high for finding in found)
    assert covered >= 300 * 0.95 - 3 * math.sqrt(300 * 0.05 * 0.95)
    assert abs(np.mean([finding.estimate for finding in found]) - 0.02) < 3 * SD / math.sqrt(10 * 300)
