"""Power, judged by simulated tests and by the figures of the plan."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis import detectable_difference, paired_t_power


@pytest.mark.parametrize(("n", "power"), [(5, 0.15), (10, 0.55), (20, 0.94)])
def test_power_at_one_standard_deviation_in_a_family_of_four(n: int, power: float) -> None:
    draws = np.random.default_rng(n).normal(1, 1, (20_000, n))
    rejected = (stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05 / 4).mean()
    assert paired_t_power(1, 1, n, alpha=0.05 / 4) == pytest.approx(power, abs=0.005)
    assert paired_t_power(1, 1, n, alpha=0.05 / 4) == pytest.approx(rejected, abs=0.012)


def test_power_without_a_difference_is_the_level() -> None:
    assert paired_t_power(0, 1, 10, alpha=0.05) == pytest.approx(0.05)


def test_the_sign_and_the_unit_of_a_difference_do_not_matter() -> None:
    assert paired_t_power(-0.02, 0.03, 8) == pytest.approx(paired_t_power(2, 3, 8))


@pytest.mark.parametrize("n", [2, 3, 10, 200])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
def test_a_detectable_difference_is_seen_with_its_power(n: int, alpha: float) -> None:
    delta = detectable_difference(0.7, n, alpha=alpha, power=0.8)
    assert paired_t_power(delta, 0.7, n, alpha=alpha) == pytest.approx(0.8, abs=1e-6)


def test_one_pair_detects_nothing() -> None:
    assert math.isnan(detectable_difference(1, 1))
    assert math.isnan(paired_t_power(1, 1, 1))
