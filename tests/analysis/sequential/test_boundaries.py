"""Boundaries: against published ones, against an integral worked out another way, and what Holm needs of them."""

from __future__ import annotations

import numpy as np
import pytest
from rival_designs import o_brien_fleming_like, pocock_like
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from bnbench.analysis.sequential import looks_up_to
from bnbench.analysis.sequential.boundaries import nominal_levels, spent


@pytest.mark.parametrize(
    ("spending", "published"),
    [  # two-sided .05 and five evenly spaced looks; Lan & DeMets' functions as Reboussin et al. (2000) tabulate them
        (o_brien_fleming_like, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        (pocock_like, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_the_published_ones(spending: object, published: list[float]) -> None:
    found = -ndtri(nominal_levels(0.025, (20, 40, 60, 80, 100), spending))
    assert found == pytest.approx(published, abs=2e-4)


def test_all_looks_together_spend_the_level() -> None:
    looks = (10, 16, 24, 40)
    bounds = -ndtri(nominal_levels(0.04, looks))
    n = np.array(looks)
    correlation = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    for k in (2, 3, 4):
        none = multivariate_normal(cov=correlation[:k, :k], maxpts=10**6, abseps=1e-7).cdf(bounds[:k])
        assert 1 - none == pytest.approx(0.04 * spent(looks[k - 1] / 40), abs=2e-5)


@pytest.mark.parametrize("cap", [10, 24, 64, 250])
def test_a_larger_level_lowers_no_boundary(cap: int) -> None:
    """Holm over looks needs it: what is settled at a level is settled at every larger one (Maurer & Bretz 2013)."""
    levels = np.array([nominal_levels(0.05 / n, looks_up_to(cap)) for n in range(48, 0, -1)])
    assert (np.diff(levels, axis=0) > 0).all()


def test_looks_end_at_the_cap_and_a_cap_is_at_least_the_first_look() -> None:
    assert looks_up_to(10) == (10,)
    assert looks_up_to(25) == (10, 16, 25)  # one pair after 24 the question would be the same
    assert looks_up_to(300) == (10, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 300)
    with pytest.raises(ValueError, match="max_seeds=9 is below the first look; give at least 10"):
        looks_up_to(9)
