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


def pairs(mean: float, n: int = 64, margin: float | None = None, seed: int = 0) -> PairedOutcomes:
    """Differences with exactly this mean and a standard deviation of 1 over the first ten pairs and over all."""
    raw = np.random.default_rng([seed, n]).standard_normal((2, max(n, 20)))[0]
    first, rest = (part if not len(part) else (part - part.mean()) / part.std(ddof=1) for part in (raw[:10], raw[10:]))
    return PairedOutcomes.of_differences(mean + np.concatenate([first, rest])[:n], margin)


def failing(only_a: int, n: int = 10) -> PairedOutcomes:
    """Pairs of which the first `only_a` trained with a alone, and the others with both."""
    d, b = np.full(n, 0.01), np.ones(n)
    d[:only_a], b[:only_a] = math.nan, 0
    return PairedOutcomes(d + np.linspace(0, 1e-3, n), np.ones(n), b, np.ones(n, dtype=bool))


def one(contrast: PairedOutcomes, design: SequentialDesign = DESIGN) -> Settlement:
    (found,) = settle(design, [contrast])
    return found


def test_a_large_difference_is_settled_at_the_first_look_whatever_follows() -> None:
    found = one(pairs(1.5))
    assert (found.state, found.pairs, found.larger, found.seeds) == (State.different, 10, "a", 10)
    assert one(pairs(-1.5)).larger == "b"
    assert one(pairs(1.5).first(10)) == found
    assert one(pairs(1.5).first(11)) == found


def test_a_difference_within_the_margin_is_equivalent_and_beyond_it_different() -> None:
    assert one(pairs(0.1, margin=1.5)).state == State.equivalent
    assert one(pairs(3.0, margin=1.0)).state == State.different
    between = one(pairs(1.5, margin=1.5))  # surely beyond 0, which is not what was asked
    assert (between.state, between.pairs, between.seeds) == (State.open, 64, math.inf)


def test_the_boundary_is_a_t_test_at_the_nominal_level_of_the_look() -> None:
    critical = stats.t.isf(boundaries(0.05, (10,))[0].side, 9) / math.sqrt(10)
    assert one(pairs(critical * 1.001, 10)).state == State.different
    assert one(pairs(critical * 0.999, 10)).state == State.open


def test_what_a_settled_contrast_no_longer_needs_passes_to_the_others_at_the_same_look() -> None:
    at = {k: stats.t.isf(boundaries(0.05 / k, (10,))[0].side, 9) / math.sqrt(10) for k in (1, 2)}
    weak = pairs((at[1] + at[2]) / 2, 10)
    assert [found.state for found in settle(DESIGN, [weak, weak])] == [State.open] * 2
    found = settle(DESIGN, [weak, pairs(3.0, 10)])
    assert [(s.state, s.level) for s in found] == [(State.different, 0.05), (State.different, 0.025)]
    found = settle(DESIGN, [weak, pairs(0.0, 10, margin=3.0)])
    assert [s.state for s in found] == [State.different, State.equivalent]


def test_a_look_waits_for_all_that_are_open_and_for_no_one_else() -> None:
    found = settle(DESIGN, [pairs(0.2, 64), pairs(0.2, 12)])
    assert [s.pairs for s in found] == [10, 10]
    found = settle(DESIGN, [pairs(0.2, 64), pairs(3.0, 12)])
    assert [s.pairs for s in found] == [64, 10]


def test_a_pair_still_to_be_trained_holds_up_its_look() -> None:
    contrast = pairs(1.5, 10)
    ended = contrast.ended.copy()
    ended[3] = False
    found = one(replace(contrast, ended=ended))
    assert (found.state, found.pairs, found.larger) == (State.open, 0, None)
    assert math.isnan(found.seeds)


def test_where_trials_failed_only_successes_settle() -> None:
    assert one(failing(9)).state == State.failing
    assert (one(failing(9)).larger, one(failing(9)).descriptive) == ("a", True)
    few = one(failing(1))  # the other nine pairs are surely different
    assert (few.state, few.descriptive) == (State.open, True)
    assert 10 < few.seeds < math.inf


def test_equal_differences_are_told_by_their_signs() -> None:
    assert one(PairedOutcomes.of_differences(np.full(10, 0.01))).state == State.different
    assert one(PairedOutcomes.of_differences(np.zeros(10))).state == State.open
    same = one(PairedOutcomes.of_differences(np.zeros(10), margin=0.005))
    assert (same.state, same.estimate.low) == (State.equivalent, None)


def test_the_seeds_needed_settle_a_contrast_in_four_of_five_sweeps() -> None:
    contrast = pairs(0.25, 64, seed=1)
    seeds = one(contrast).seeds
    assert 64 < seeds < 400
    generator = np.random.default_rng(0)
    sd, mean = contrast.differences.std(ddof=1), one(contrast).estimate.mean
    again = [
        one(
            PairedOutcomes.of_differences(generator.normal(mean, sd, int(seeds))), SequentialDesign.up_to(int(seeds))
        ).state
        for _ in range(200)
    ]
    assert 0.72 <= np.mean([state == State.different for state in again]) <= 0.92


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
