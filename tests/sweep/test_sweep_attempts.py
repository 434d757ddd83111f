"""A pack that fails is tried once more, then trial by trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import Trial
from bnbench.sweep.running.attempts import train_with_retries


@pytest.mark.parametrize(
    ("seeds", "fails", "tried", "lost"),
    [
        ("012", lambda part, number: False, ["012"], {}),
        ("012", lambda part, number: number == 1, ["012", "012"], {}),
        ("012", lambda part, number: number <= 2, ["012", "012", "0", "1", "2"], {}),
        ("012", lambda part, number: "1" in part, ["012", "012", "0", "1", "2"], {1: "failure 4"}),
        (
            "012",
            lambda part, number: True,
            ["012", "012", "0", "1", "2"],
            {0: "failure 3", 1: "failure 4", 2: "failure 5"},
        ),
        ("7", lambda part, number: number == 1, ["7", "7"], {}),
        ("7", lambda part, number: True, ["7", "7"], {7: "failure 2"}),
    ],
)
def test_attempts(
    seeds: str,
    fails: Callable[[str, int], bool],
    tried: list[str],
    lost: dict[int, str],
    make_trial: Callable[[dict[str, Any]], Trial],
) -> None:
    attempts: list[str] = []
    given_up: dict[int, str] = {}

    def attempt(part: Any) -> str | None:
        attempts.append("".join(str(trial.seed) for trial in part))
        return f"failure {len(attempts)}" if fails(attempts[-1], len(attempts)) else None

    train_with_retries(
        [make_trial({"seed": int(seed)}) for seed in seeds],
        attempt,
        lambda trial, failure: given_up.update({trial.seed: failure}),
    )
    assert attempts == tried
    assert given_up == lost
