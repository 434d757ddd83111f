"""Settling look after look: what settles a contrast, when, and that it depends on nothing but the pairs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bnbench.analysis import Design
from bnbench.analysis.paired_arms import paired_arms
from bnbench.analysis.sequential import PairedOutcomes, SequentialDesign, Settlement, State, paired_outcomes, settle
from bnbench.analysis.sequential.boundaries import boundaries
from bnbench.record import names

DESIGN = SequentialDesign.up_to(64)


def pairs(mean: float, n: int = 64, margin: float | None = None) -> PairedOutcomes:
    """Symmetric differences with this mean, and a standard deviation of 1 over the first ten and over the others."""
    parts = [np.tile([-1.0, 1.0], count // 2) * math.sqrt((count - 1) / count) for count in (10, max(n, 12) - 10)]
    return PairedOutcomes.of_differences(mean + np.concatenate(parts)[:n], margin)


def failing(only_a: int, n: int) -> PairedOutcomes:
    """Pairs of which the first `only_a` trained with a alone, and the others with both, with a surely better."""
    d, b = 0.01 + np.linspace(0, 1e-3, n), np.ones(n)
    d[:only_a], b[:only_a] = math.nan, 0
    return PairedOutcomes(d, np.ones(n), b, np.ones(n, dtype=bool))


def one(contrast: PairedOutcomes, design: SequentialDesign = DESIGN) -> Settlement:
    (found,) = settle(design, [contrast])
    return found


def test_a_large_difference_is_settled_at_the_first_look_whatever_follows() -> None:
    found = one(pairs(2.5))
    assert (found.state, found.pairs, found.larger, found.seeds) == (State.different, 10, "a", 10)
    assert one(pairs(-2.5)).larger == "b"
    assert one(pairs(2.5).first(10)) == found
    assert one(pairs(2.5).first(11)) == found


def test_a_difference_within_the_margin_is_equivalent_and_beyond_it_different() -> None:
    assert one(pairs(0.1, margin=1.5)).state == State.equivalent
    assert one(pairs(3.0, margin=1.0)).state == State.different
    between = one(pairs(1.5, margin=1.5))  # surely beyond 0, which is not what was asked
    assert (between.state, between.pairs, between.seeds) == (State.open, 64, math.inf)


def critical(family: int, look: int = 0) -> float:
    """The mean of ten symmetric differences with a standard deviation of 1 that is just settled at a look."""
    boundary = boundaries(0.05 / family, DESIGN.looks)[look]
    return float(stats.t.isf(boundary.side, boundary.pairs - 1)) / math.sqrt(boundary.pairs)


def test_the_boundary_is_a_t_test_at_the_nominal_level_of_the_look() -> None:
    assert one(pairs(critical(1) * 1.001, 10)).state == State.different
    assert one(pairs(critical(1) * 0.999, 10)).state == State.open


def test_what_a_settled_contrast_no_longer_needs_passes_to_the_others_at_the_same_look() -> None:
    weak = pairs((critical(1) + critical(2)) / 2, 10)
    assert [found.state for found in settle(DESIGN, [weak, weak])] == [State.open] * 2
    found = settle(DESIGN, [weak, pairs(5.0, 10)])
    assert [(s.state, s.level) for s in found] == [(State.different, 0.05), (State.different, 0.025)]
    found = settle(DESIGN, [weak, pairs(0.0, 10, margin=5.0)])
    assert [s.state for s in found] == [State.different, State.equivalent]


def test_what_passes_on_later_reopens_no_earlier_look() -> None:
    weak = pairs((critical(1) + critical(2)) / 2, 16)
    weak.differences[10:] -= 10  # by the second look nothing is left of it
    late = pairs(critical(2) * 0.99, 16)  # settled at the second look
    assert one(weak).state == State.different
    assert [(found.state, found.pairs) for found in settle(DESIGN, [weak, late])] == [
        (State.open, 16),
        (State.different, 16),
    ]


def test_a_look_waits_for_all_that_are_open_and_for_no_one_else() -> None:
    found = settle(DESIGN, [pairs(0.2, 64), pairs(0.2, 12)])
    assert [s.pairs for s in found] == [10, 10]
    found = settle(DESIGN, [pairs(0.2, 64), pairs(5.0, 12)])
    assert [s.pairs for s in found] == [64, 10]


def test_a_pair_still_to_be_trained_holds_up_its_look() -> None:
    contrast = pairs(1.5, 10)
    ended = contrast.ended.copy()
    ended[3] = False
    found = one(replace(contrast, ended=ended))
    assert (found.state, found.pairs, found.larger) == (State.open, 0, None)
    assert math.isnan(found.seeds)


def test_where_trials_failed_only_successes_settle() -> None:
    found = one(failing(15, 16))
    assert (found.state, found.pairs, found.larger, found.descriptive) == (State.failing, 16, "a", True)
    few = one(failing(1, 16))  # the other fifteen pairs are surely different
    assert (few.state, few.descriptive) == (State.open, True)
    assert 16 < few.seeds < math.inf
    assert one(failing(0, 16)).state == State.different


def test_equal_differences_are_told_by_their_signs() -> None:
    same = one(PairedOutcomes.of_differences(np.full(16, 0.01)))
    assert (same.state, same.pairs) == (State.different, 16)  # ten of one sign are too few
    assert one(PairedOutcomes.of_differences(np.zeros(16))).state == State.open
    same = one(PairedOutcomes.of_differences(np.zeros(16), margin=0.005))
    assert (same.state, same.estimate.low) == (State.equivalent, None)


def test_a_difference_that_is_settled_lies_beyond_the_margin_with_its_whole_interval() -> None:
    generator = np.random.default_rng(3)
    for margin in (None, 0.3):
        found = [one(PairedOutcomes.of_differences(generator.gumbel(0.6, 1, 64), margin)) for _ in range(20)]
        lows = [s.estimate.low or 0.0 for s in found if s.state == State.different]
        assert len(lows) > 2
        assert min(lows) > (margin or 0)


def test_a_margin_must_be_positive() -> None:
    with pytest.raises(ValueError, match="margin=0 is not allowed"):
        PairedOutcomes.of_differences([0.1], margin=0)


def test_a_sweep_gives_its_pairs_in_the_order_of_their_seeds(table_of: Any) -> None:
    batch = {"norm": "batch"}
    rows = [
        {"seed": 2, names.TEST_ACC: 0.8},
        {"seed": 0, names.TEST_ACC: 0.9},
        {"seed": 1, "status": "diverged", names.TEST_ACC: math.nan},
        {"seed": 3, "status": "missing", names.TEST_ACC: math.nan},
        *({"seed": s, names.TEST_ACC: 0.95, **batch} for s in range(4)),
        {"seed": 4, "status": "failed", names.TEST_ACC: math.nan},
        {"seed": 4, "status": "finished", names.TEST_ACC: 0.9, **batch},
    ]
    design = Design(table_of(rows, contrasts=["batch - none"]))
    (arms,) = paired_arms(design, None, design.pairs)
    found = paired_outcomes(arms, margin=0.01)
    assert (found.a, found.b, found.where, found.margin, found.complete) == ("batch", "none", {}, 0.01, 3)
    assert found.differences == pytest.approx([0.05, math.nan, 0.15, math.nan, math.nan], nan_ok=True)
    assert found.trained_b == pytest.approx([1, 0, 1, math.nan, math.nan], nan_ok=True)
    assert found.ended.tolist() == [True, True, True, False, True]
    assert (found.failed, found.only_a, found.only_b) == (True, 1, 0)


def test_levels_of_which_every_trial_failed_take_no_further_part_and_pass_nothing_on() -> None:
    design, ten = SequentialDesign((10, 16)), np.zeros(10)
    never = PairedOutcomes(np.full(10, np.nan), ten, ten, np.ones(10, dtype=bool))
    found = settle(design, [never, pairs(0.1, 16)])
    assert (found[0].state, found[0].larger, found[0].pairs) == (State.failing, None, 10)
    assert found[1].pairs == 16
    assert found[1].level == design.alpha / 2
