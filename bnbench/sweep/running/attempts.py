"""Trains a pack that fails once more as it is, and then trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bnbench.config import Trial


def train_with_retries(
    trials: Sequence[Trial],
    attempt: Callable[[Sequence[Trial]], str | None],
    give_up: Callable[[Trial, str], None],
) -> None:
    """Train a pack; if that fails, once more; if that fails too, its trials one by one.

    A trial's numbers do not depend on its pack, so a failure costs time, and a result only where a trial
    fails alone.

    Args:
        trials: The pack's.
        attempt: Trains some of them, and returns why that failed, or None.
        give_up: Told of each trial that failed alone, and why.
    """
    if attempt(trials) is None:
        return
    failure = attempt(trials)
    if failure is None:
        return
    for trial in trials:
        if len(trials) > 1:
            failure = attempt([trial])
        if failure is not None:
            give_up(trial, failure)
