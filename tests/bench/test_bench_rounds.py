"""Alternation, spread and what is computed from rates, on made-up numbers."""

from __future__ import annotations

import time

import pytest

from bnbench.bench.rounds import Clock, Spread, alternate, ratio, turns
from bnbench.bench.sweep_time import estimate


def test_a_spread_is_the_median_and_the_extremes() -> None:
    spread = Spread.of([4.0, 1.0, 2.0, 9.0])
    assert (spread.median, spread.low, spread.high) == (3.0, 1.0, 9.0)
    assert spread.values == (4.0, 1.0, 2.0, 9.0)


def test_a_ratio_is_taken_round_by_round() -> None:
    """Rounds that are slow for both sides must not spread the ratio."""
    fast, slow = Spread.of([30.0, 3.0, 12.0]), Spread.of([10.0, 1.0, 4.0])
    assert ratio(fast, slow) == Spread.of([3.0, 3.0, 3.0])
    assert ratio(Spread.of([6.0, 1.0]), Spread.of([2.0, 4.0])) == Spread.of([3.0, 0.25])


def test_a_process_that_waits_is_slow_on_the_wall_alone() -> None:
    clock = Clock()
    while clock.processor_seconds < 0.05:
        pass
    time.sleep(0.15)
    rates = clock.rates(10)
    assert rates["rate"] == pytest.approx(200, rel=0.2)
    assert rates["wall_rate"] < 51


def test_every_side_has_one_turn_a_round_and_each_place_once() -> None:
    orders = [*turns(["a", "b", "c"], 6)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    for place in range(3):
        assert sorted(order[place] for order in orders[:3]) == ["a", "b", "c"]
    assert orders[3:] == orders[:3]


def test_sides_alternate_and_keep_their_own_values() -> None:
    calls: list[str] = []

    def side(name: str) -> int:
        calls.append(name)
        return len(calls)

    measured = alternate({"a": lambda: side("a"), "b": lambda: side("b")}, 3)
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert measured == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_the_estimate_adds_up_steps_and_evaluated_images() -> None:
    kinds = [{"steps": 1000, "images": 600}, {"steps": 10, "images": 0}]
    assert estimate(kinds, [{"steps": 100.0, "images": 300.0}, {"steps": 5.0, "images": 1.0}]) == 10 + 2 + 2
