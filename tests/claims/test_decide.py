"""Verdicts from differences whose truth is known: the right word, and seldom a wrong one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnbench.claims import Test, Verdict
from bnbench.claims.claim import Kind, Margin, Strata
from bnbench.claims.decide import Finding, correct, from_differences, from_success

_PP = Margin(2, "pp")


def make_test(kind: Kind, margin: Margin | None = _PP, **more: Any) -> Test:
    return Test(kind, "a test", "a - b", margin=margin, **more)


def verdict(kind: Kind, *, mean: float, sd: float = 0.002, n: int = 10, margin: Margin = _PP) -> Verdict:
    """The verdict on n differences of exactly this mean and standard deviation."""
    shape = np.linspace(-1, 1, n)
    d = pd.Series(mean + sd * shape / shape.std(ddof=1) if sd else np.full(n, mean))
    test = make_test(kind, margin)
    return correct(test, [from_differences(test, {}, d, "pp")])[0].verdict


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        (Kind.greater, 0.03, Verdict.supported),
        (Kind.greater, 0.02, Verdict.inconclusive),  # at the margin
        (Kind.greater, 0.0, Verdict.refuted),
        (Kind.greater, -0.03, Verdict.refuted),
        (Kind.two_sided, 0.03, Verdict.supported),
        (Kind.two_sided, -0.03, Verdict.refuted),
        (Kind.two_sided, 0.0, Verdict.equivalent),
        (Kind.two_sided, 0.0199, Verdict.inconclusive),
        (Kind.equivalent, 0.0, Verdict.supported),
        (Kind.equivalent, 0.03, Verdict.refuted),
        (Kind.equivalent, -0.03, Verdict.refuted),
        (Kind.equivalent, 0.0199, Verdict.inconclusive),
    ],
)
def test_the_verdict_follows_the_difference_and_its_margin(kind: Kind, mean: float, expected: Verdict) -> None:
    assert verdict(kind, mean=mean) == expected
    assert verdict(kind, mean=mean, sd=0.2) == Verdict.inconclusive, "with so much noise nothing can be said"


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.03, Verdict.supported), (0.02, Verdict.inconclusive), (0.0, Verdict.refuted)]
)
def test_equal_differences_are_judged_by_their_signs(mean: float, expected: Verdict) -> None:
    assert verdict(Kind.greater, mean=mean, sd=0) == expected


@pytest.mark.parametrize(("n", "expected"), [(5, Verdict.inconclusive), (6, Verdict.supported)])
def test_five_seeds_support_nothing(n: int, expected: Verdict) -> None:
    assert verdict(Kind.greater, mean=0.5, n=n) == expected


def test_more_settings_need_more_seeds() -> None:
    test, d = make_test(Kind.greater), pd.Series(np.linspace(0.5, 0.6, 6))
    one = from_differences(test, {}, d, "pp")
    assert correct(test, [one])[0].verdict == Verdict.supported
    both = correct(test, [one, one])
    assert [finding.verdict for finding in both] == [Verdict.inconclusive] * 2
    assert "too few seeds: 6 for 2 settings" in both[0].note


def test_a_finding_without_p_values_keeps_its_verdict_and_is_in_no_family() -> None:
    test, d = make_test(Kind.greater), pd.Series(np.linspace(0.5, 0.6, 6))
    found = correct(test, [Finding({}, Verdict.undefined), from_differences(test, {}, d, "pp")])
    assert [finding.verdict for finding in found] == [Verdict.undefined, Verdict.supported]


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [(10, 0, Verdict.supported), (0, 10, Verdict.refuted), (3, 0, Verdict.inconclusive), (5, 5, Verdict.inconclusive)],
)
def test_success_is_judged_on_the_pairs_that_differ(only_a: int, only_b: int, expected: Verdict) -> None:
    a = pd.Series([1.0] * only_a + [0.0] * only_b + [1.0] * 5)
    b = pd.Series([0.0] * only_a + [1.0] * only_b + [1.0] * 5)
    finding = correct(make_test(Kind.success, None), [from_success({}, a, b, "")])[0]
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((only_a - only_b) / (only_a + only_b + 5))


_DRAWS = 1500


def _share_supported(kind: Kind, truth: float, settings: int, n: int = 10) -> float:
    """How often at least one of several settings with this true difference is called supported."""
    rng = np.random.default_rng(7)
    test = make_test(kind, strata=Strata.any)
    called = 0
    for _ in range(_DRAWS // settings):
        d = rng.normal(truth, 0.01, (settings, n))
        found = correct(test, [from_differences(test, {}, pd.Series(row), "pp") for row in d])
        called += any(finding.verdict == Verdict.supported for finding in found)
    return called / (_DRAWS // settings)


@pytest.mark.parametrize("settings", [1, 3])
@pytest.mark.parametrize(
    ("kind", "truth"),
    [(Kind.greater, 0.02), (Kind.two_sided, 0.02), (Kind.equivalent, 0.02)],
    ids=["no more than the margin", "a winner by no more", "not equivalent"],
)
def test_a_false_claim_is_supported_in_at_most_five_percent(kind: Kind, truth: float, settings: int) -> None:
    share = _share_supported(kind, truth, settings)
    error = 3 * math.sqrt(0.05 * 0.95 / (_DRAWS // settings))
    assert share <= 0.05 + error


def test_a_true_claim_is_supported_more_often_than_not() -> None:
    assert _share_supported(Kind.greater, 0.04, 1) > 0.9
