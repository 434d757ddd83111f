"""p values, judged by scipy's own tests, by enumeration and by how often they reject what is true."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis import equivalence_p, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.significance import Alternative

SIDES: list[Alternative] = ["two-sided", "greater", "less"]


@pytest.fixture
def differences() -> np.ndarray:
    return np.random.default_rng(0).normal(0.004, 0.01, 11)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("margin", [0.0, 0.005, -0.005])
def test_paired_t_p_is_scipys(differences: np.ndarray, margin: float, alternative: Alternative) -> None:
    judge = stats.ttest_1samp(differences, margin, alternative=alternative).pvalue
    assert paired_t_p(differences, margin, alternative) == pytest.approx(judge)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1], [0.951 - 0.95, 0.941 - 0.94]])
def test_paired_t_p_needs_two_differences_that_differ(values: list[float]) -> None:
    assert math.isnan(paired_t_p(values))


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("margin", [0.0, 0.005])
def test_sign_flip_p_is_that_of_all_sign_patterns(
    differences: np.ndarray, margin: float, alternative: Alternative
) -> None:
    d = differences - margin
    sums = np.array(list(product([1, -1], repeat=len(d)))) @ d
    extreme = {"two-sided": np.abs(sums) >= abs(d.sum()), "greater": sums >= d.sum(), "less": sums <= d.sum()}
    # The identity is among the patterns, up to rounding.
    extreme[alternative][0] = True
    assert sign_flip_p(differences, margin, alternative) == pytest.approx(extreme[alternative].mean(), abs=1e-12)


def test_sign_flip_p_is_scipys_exact_permutation_test(differences: np.ndarray) -> None:
    judge = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=2**11, vectorized=True
    )
    assert sign_flip_p(differences) == pytest.approx(judge.pvalue)


def test_sign_flip_p_counts_ties_that_rounding_would_lose() -> None:
    # 0.1 + 0.2 - 0.3 is not 0.0: of the 8 sums, +-0.6 and +-0.0 and ties among those between.
    assert sign_flip_p([0.1, 0.2, 0.3]) == 0.25
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip_p([0.0, 0.0]) == 1.0


@pytest.mark.parametrize("n", [5, 8, 10])
def test_sign_flip_p_falls_to_two_patterns_and_no_lower(n: int) -> None:
    assert sign_flip_p(np.arange(1, n + 1)) == 2 / 2**n
    assert sign_flip_p(np.arange(1, n + 1), alternative="greater") == 1 / 2**n


def test_sign_flip_p_of_many_pairs_is_drawn_and_repeats() -> None:
    d = np.random.default_rng(3).normal(0.3, 1, 60)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(d) == pytest.approx(paired_t_p(d), abs=0.005)


def test_without_a_pair_there_is_no_sign_flip_p() -> None:
    assert math.isnan(sign_flip_p([]))


def test_holm_is_the_step_down_of_its_definition() -> None:
    ps = [0.01, 0.2, 0.012, 0.04]
    assert holm(ps) == pytest.approx([0.04, 0.2, 0.036 + 0.004, 0.08])


def test_holm_counts_a_planned_test_that_could_not_be_made() -> None:
    first, missing, last = holm([0.01, math.nan, 0.03])
    assert (first, last) == pytest.approx((0.03, 0.06))
    assert math.isnan(missing)


def test_holm_errs_at_all_no_more_often_than_it_says() -> None:
    ps = np.random.default_rng(0).random((4000, 4))
    ps[:, 3] = ps[:, 2]  # dependence must not matter
    any_false = np.mean([min(holm(row.tolist())) <= 0.05 for row in ps])
    assert any_false <= 0.065


def test_holm_rejects_more_than_bonferroni() -> None:
    assert [p <= 0.05 for p in holm([0.01, 0.02, 0.04])] == [True, True, True]
    assert [3 * p <= 0.05 for p in [0.01, 0.02, 0.04]] == [True, False, False]


def test_equivalence_p_is_the_larger_of_two_one_sided_tests() -> None:
    d = np.random.default_rng(1).normal(0.001, 0.004, 10)
    judges = [stats.ttest_1samp(d, at, alternative=side).pvalue for at, side in ((-0.005, "greater"), (0.005, "less"))]
    assert equivalence_p(d, 0.005) == pytest.approx(max(judges))


def test_a_difference_as_large_as_the_margin_is_seldom_called_equivalent() -> None:
    draws = np.random.default_rng(2).normal(0.5, 0.3, (3000, 10))
    assert np.mean([equivalence_p(d, 0.5) <= 0.05 for d in draws]) <= 0.065


def test_no_true_difference_is_called_equivalent_with_enough_pairs() -> None:
    draws = np.random.default_rng(3).normal(0, 0.3, (200, 20))
    assert np.mean([equivalence_p(d, 0.5) <= 0.05 for d in draws]) > 0.95


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan])
def test_equivalence_needs_a_margin(margin: float) -> None:
    with pytest.raises(ValueError, match="needs a margin > 0"):
        equivalence_p([0.1, 0.2], margin)


@pytest.mark.parametrize(("only_a", "only_b"), [(6, 0), (5, 1), (3, 3), (0, 0), (1, 9)])
def test_mcnemar_p_is_the_binomial_closed_form(only_a: int, only_b: int) -> None:
    n, least = only_a + only_b, min(only_a, only_b)
    judge = min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n)
    assert mcnemar_p(only_a, only_b) == pytest.approx(judge)


def test_five_seeds_suffice_for_no_family_and_ten_for_twenty_five() -> None:
    assert not seeds_suffice(5, 1)
    assert seeds_suffice(6, 1)
    assert not seeds_suffice(6, 2)
    assert (seeds_suffice(10, 25), seeds_suffice(10, 26)) == (True, False)
