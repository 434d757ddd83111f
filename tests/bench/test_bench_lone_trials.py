"""Lone trials in turns: each turn timed, and a disturbed one noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bnbench.bench import lone_trials as lone
from bnbench.bench.lone_trials import Turns, time_lone
from bnbench.config import Trial
from bnbench.data import ImageData


def test_every_arm_has_a_turn_in_every_round_and_none_is_always_first(
    trial: Callable[..., Trial], images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Loop:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, seconds: float) -> float:
            order.append(self.name)
            return 100.0

    monkeypatch.setattr(lone, "fastest_loop", lambda trial, data: Loop(trial.norm.name))
    arms = {norm: (trial([f"norm={norm}", "data=digits"]), images) for norm in ("none", "batch", "layer")}
    turns = time_lone(arms, 3, 0.1, lambda: order.append("ready"))
    assert order == ["ready", *["none", "batch", "layer"], *["batch", "layer", "none"], *["layer", "none", "batch"]]
    assert turns.seconds_per_step == {name: [0.01] * 3 for name in arms}


@pytest.mark.parametrize(("load", "share", "disturbed"), [(0.1, 0.99, False), (0.9, 0.99, True), (0.1, 0.6, True)])
def test_a_busy_machine_and_a_process_that_had_to_wait_are_noticed(load: float, share: float, disturbed: bool) -> None:
    assert Turns({}, load, share).disturbed == disturbed


def test_a_turn_that_waited_has_less_than_a_core() -> None:
    import time

    class Loop:
        def run(self, seconds: float) -> float:
            time.sleep(seconds)
            return 50.0

    seconds, share = lone._turn(Loop(), 0.05)  # type: ignore[arg-type]
    assert seconds == 0.02
    assert share < 0.5
