"""Ended at random moments on either engine, in any part, a sweep ends as if it had not been."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Running, Start, Store
    from engines.conftest import Cluster

StoreIn = Callable[[Path], "Store"]


@pytest.mark.faults
@pytest.mark.parametrize("rounds", [20])
def test_killed_at_random_moments_a_sweep_ends_as_if_it_had_not_been(
    rounds: int,
    cluster: Cluster,
    start: Start,
    trials: tuple[str, ...],
    store_in: StoreIn,
    tmp_path: Path,
    uninterrupted: tuple[bytes, bytes],
) -> None:
    draw = random.Random(rounds)
    killed: list[str] = []
    number = 0

    def begin() -> tuple[Running, Store]:
        store = store_in(tmp_path / f"runs{number}")
        words = (*trials[:-1], *cluster.words, f"runs_dir={store.path}")
        return start(*words, environment=dict(cluster.environment)), store

    while len(killed) < rounds:
        sweep, store = begin()
        before = store.finished()
        _wait(sweep, 60, lambda: bool(cluster.trainers()))
        while sweep.process.poll() is None and len(killed) < rounds:
            _wait(sweep, draw.uniform(0, 6))
            killed += _kill(sweep, cluster, draw)
        assert store.finished() >= before
        if sweep.process.poll() == 0:
            store.check_whole(uninterrupted)
            number += 1
    _wait(sweep, 600)
    last, store = begin()
    assert last.wait(600) == 0, last.said
    store.check_whole(uninterrupted)
    assert {"command", "job", "node", "trainer"} <= {*killed}
    print(f"killed: {', '.join(killed)}; in {number + 1} sweeps")


def _wait(sweep: Running, seconds: float, for_what: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and sweep.process.poll() is None and not for_what():
        time.sleep(0.05)


def _kill(sweep: Running, cluster: Cluster, draw: random.Random) -> list[str]:
    """End the command, a job of the engine, what trains in it, or a whole node; says which, if there was one."""
    whom = draw.choice(["command", "job", "trainer", "node"])
    if whom == "command":
        sweep.process.kill()
        sweep.wait()
        return [whom]
    if whom == "node":
        cluster.end_and_start_node(draw.choice(cluster.nodes))
        return [whom]
    found = cluster.end_job(draw) if whom == "job" else cluster.end_trainer(draw)
    return [whom] if found else []
