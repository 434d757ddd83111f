"""Alternation, spread and what is computed from rates, on made-up numbers."""

from __future__ import annotations

import pytest

from bnbench.bench.ratios import marginal
from bnbench.bench.rounds import Spread, alternate, ratio, turns
from bnbench.bench.shares import PARTS, share_row
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


def test_the_marginal_rate_leaves_out_what_both_sweeps_cost() -> None:
    # 2 s whatever the steps, and 100 trial-steps a second
    assert marginal([2 + 3.0, 2 + 3.0], [2 + 6.0, 2 + 6.0], 300) == Spread.of([100.0, 100.0])
    assert marginal([2.0, 2.0], [3.0, 1.9], 300) is None


def test_the_estimate_adds_up_steps_and_evaluated_images() -> None:
    kinds = [{"steps": 1000, "images": 600}, {"steps": 10, "images": 0}]
    assert estimate(kinds, [{"steps": 100.0, "images": 300.0}, {"steps": 5.0, "images": 1.0}]) == 10 + 2 + 2


def test_shares_add_up_and_fractions_are_of_all_cores() -> None:
    phases = [
        {"data": 1e-3, "forward": 2e-3, "loss": 1e-3, "backward": 3e-3, "optimizer": 1e-3},
        {"data": 3e-3, "forward": 2e-3, "loss": 1e-3, "backward": 3e-3, "optimizer": 1e-3},
    ]
    row = share_row(
        phases=phases,
        around=[{"evaluation": 0.1, "ends": 0.05}] * 2,
        tracking_seconds=0.1,
        steps=100,
        multiply_adds=1_000,
        inner_rate=500.0,
        sweep_rate=100.0,
        product_rate=1e6,
        cores=2,
    )
    # per trial-step, in ms: data 2, forward 2, loss 1, backward 3, optimizer 1, evaluation 1, ends 0.5, tracking 1
    assert list(row["shares"]) == [*PARTS]
    assert sum(row["shares"].values()) == pytest.approx(1)
    assert row["seconds"] == pytest.approx(11.5e-3)
    assert row["shares"]["data"] == pytest.approx(2 / 11.5)
    assert row["shares"]["tracking"] == pytest.approx(1 / 11.5)
    assert row["covered"] == pytest.approx(10e-3 * 100 / 2)  # steps and evaluations alone
    assert row["of_product_rate"] == pytest.approx(0.25)
