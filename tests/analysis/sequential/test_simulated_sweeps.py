"""What the design promises, on thousands of made-up sweeps; simulate.py has the figures of the page on statistics."""

from __future__ import annotations

import numpy as np
import pytest
from rival_designs import by_t, confidence_sequence
from simulated_sweeps import (
    EQUIVALENT,
    Family,
    Settled,
    evidence_at,
    fixed_pairs,
    mixed_family,
    settle_all,
    simulate,
)

from bnbench.analysis.sequential import PairedOutcomes, SequentialDesign, looks_up_to, settle
from bnbench.analysis.sequential.boundaries import boundaries
from bnbench.analysis.sequential.estimate import stopped_interval

LOOKS = looks_up_to(64)


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, Settled]:
    return simulate(mixed_family(3), "normal", LOOKS, 2000, 0)


def test_the_simulation_settles_as_bnbench_does() -> None:
    family = mixed_family(6)
    differences, found = simulate(family, "skewed", LOOKS, 6, 1)
    names = {"open": 0, "different": 1, "equivalent": 3}
    for sweep, states, pairs in zip(differences, found.state, found.pairs, strict=True):
        contrasts = [PairedOutcomes.of_differences(d, m) for d, m in zip(sweep, family.margins, strict=True)]
        settled = settle(SequentialDesign(LOOKS), contrasts)
        assert [names[s.state] + (s.larger == "b") for s in settled] == states.tolist()
        assert [s.pairs for s in settled] == pairs.tolist()


@pytest.mark.parametrize("kind", ["normal", "rounded", "skewed"])
@pytest.mark.parametrize("size", [1, 6])
def test_sweeps_without_an_effect_seldom_claim_one(kind: str, size: int) -> None:
    family = Family((0.0,) * size, (None,) * size)
    share = simulate(family, kind, LOOKS, 6000 // size, size)[1].false(family).mean()
    assert 0.02 <= share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 * size / 6000)


def test_plain_t_would_claim_differences_of_skewed_pairs_too_often() -> None:
    family = Family((0.0,) * 6, (None,) * 6)
    differences = family.draw("skewed", 1000, 64, np.random.default_rng(6))
    assert settle_all(evidence_at(differences, family.margins, LOOKS, by_t), LOOKS).false(family).mean() > 0.09


@pytest.mark.parametrize("size", [1, 3])
def test_an_effect_as_large_as_the_margin_is_seldom_called_equivalent(size: int) -> None:
    found = simulate(Family((0.5,) * size, (0.5,) * size), "normal", LOOKS, 3000, 2)[1]
    assert 0.02 <= (found.state == EQUIVALENT).any(1).mean() <= 0.062


def test_false_differences_and_false_equivalences_share_one_level() -> None:
    family = Family((0.0, 0.5, 0.0, -0.5), (None, 0.5, None, 0.5))
    found = simulate(family, "normal", LOOKS, 3000, 3)[1]
    wrong = (found.state[:, [0, 2]] != 0).any(1) | (found.state[:, [1, 3]] == EQUIVALENT).any(1)
    assert 0.025 <= wrong.mean() <= 0.062


def test_a_mixed_family_takes_three_quarters_of_the_pairs_of_a_fixed_design(mixed: tuple[np.ndarray, Settled]) -> None:
    differences, found = mixed
    fixed = fixed_pairs(mixed_family(3), differences, found.right(mixed_family(3)))
    assert found.right(mixed_family(3)) > 0.82
    assert found.pairs.mean() <= 0.75 * fixed
    assert found.pairs[:, 2].mean() <= 0.4 * fixed  # where the effect is large


def test_a_confidence_sequence_settles_fewer_contrasts_with_more_pairs(mixed: tuple[np.ndarray, Settled]) -> None:
    family, (differences, found) = mixed_family(3), mixed
    always_valid = settle_all(evidence_at(differences, family.margins, LOOKS), LOOKS, confidence_sequence)
    assert always_valid.right(family) < found.right(family) - 0.15
    assert always_valid.pairs.mean() > found.pairs.mean()


@pytest.mark.parametrize(("kind", "effect"), [("normal", 0.3), ("normal", 1.5), ("skewed to the left", 0.4)])
def test_the_interval_covers_the_effect_in_spite_of_stopping(kind: str, effect: float) -> None:
    family, side = Family((effect,), (None,)), boundaries(0.05, LOOKS)[-1].side
    differences, found = simulate(family, kind, LOOKS, 3000, 4)
    bounds = [stopped_interval(d[0, :n], side) for d, n in zip(differences, found.pairs[:, 0], strict=True)]
    low, high = np.array(bounds).T
    assert 0.928 <= ((low <= effect) & (effect <= high)).mean() <= 0.985
