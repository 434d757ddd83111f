"""Killed at any instant, nothing finished is lost, nothing counts twice, and the finished sweep is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Running, Start, Store

Trials = tuple[str, ...]
StoreIn = Callable[[Path], "Store"]


def _wait(sweep: Running, seconds: float, for_what: Callable[[Running], bool] = lambda sweep: False) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and sweep.process.poll() is None and not for_what(sweep):
        time.sleep(0.02)


def _kill(sweep: Running, draw: random.Random) -> str:
    """End the sweeping process, or one that trains."""
    victims = sweep.trainers()
    if not victims or draw.random() < 0.5:
        sweep.process.kill()
        sweep.wait()
        return "parent"
    try:
        os.kill(draw.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return "worker"


@pytest.mark.faults
@pytest.mark.parametrize("rounds", [20])
def test_killed_at_random_moments_a_sweep_ends_as_if_it_had_not_been(
    rounds: int,
    start: Start,
    trials_anywhere: Trials,
    store_in: StoreIn,
    tmp_path: Path,
    uninterrupted: tuple[bytes, bytes],
) -> None:
    draw = random.Random(rounds)
    number, killed = 0, []
    while len(killed) < rounds:
        store = store_in(tmp_path / f"runs{number}")
        before = store.finished()
        sweep = start(*trials_anywhere, f"runs_dir={store.path}")
        if draw.random() < 0.7:  # while it trains, and else while it starts
            _wait(sweep, 120, lambda sweep: bool(sweep.trainers()))
        _wait(sweep, draw.uniform(0, 8))
        while sweep.process.poll() is None and len(killed) < rounds:
            killed.append(_kill(sweep, draw))
            _wait(sweep, draw.uniform(0, 8))
        if sweep.process.poll() == 0:
            store.check_whole(uninterrupted)
            number += 1
        else:
            sweep.end()
            assert store.finished() >= before
    store = store_in(tmp_path / f"runs{number}")
    last = start(*trials_anywhere, f"runs_dir={store.path}")
    assert last.wait() == 0, last.said
    store.check_whole(uninterrupted)
    assert {"parent", "worker"} <= set(killed)
    print(f"killed: {', '.join(killed)}; in {number + 1} sweeps")


@pytest.mark.parametrize(
    ("end", "whom"),
    [
        (signal.SIGINT, "all"),  # as a terminal does
        pytest.param(signal.SIGINT, "parent", marks=pytest.mark.faults),
        pytest.param(signal.SIGTERM, "parent", marks=pytest.mark.faults),
    ],
)
def test_told_to_end_a_sweep_ends_in_order_and_says_how_to_go_on(
    end: signal.Signals, whom: str, start: Start, trials_anywhere: Trials, store_in: StoreIn, tmp_path: Path
) -> None:
    store = store_in(tmp_path / "runs")
    sweep = start(*trials_anywhere, f"runs_dir={store.path}")
    sweep.wait_until(lambda: store.finished() > 0)
    asked = time.monotonic()
    os.kill(sweep.process.pid, end) if whom == "parent" else os.killpg(sweep.process.pid, end)
    status = sweep.wait(30)
    assert time.monotonic() - asked < 5
    assert status == (130 if end == signal.SIGINT else 143)
    assert sweep.said.splitlines()[-1].startswith("interrupted; the same command again trains only what is missing")
    assert "Traceback" not in sweep.said
    deadline = time.monotonic() + 5
    while sweep.trainers():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert store.sweeps() == ["KILLED"]


_DIES_AFTERWARDS = """
import os, signal, bnbench
bnbench.run(
    "data=digits", "model=fc", "seed=range(2)", "training.steps=5", "training.max_pack=1", "hydra.launcher.n_jobs=2"
)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_that_wait_for_packs_end_with_their_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DIES_AFTERWARDS]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.wait(120) == -signal.SIGKILL
        died = time.monotonic()
        said, _ = process.communicate(timeout=60)  # ends when no worker has the pipe any more
    assert "2 packs on 2 workers" in said
    assert time.monotonic() - died < 10


_DEADLY = """
import os, signal
try:
    from bnbench.sweep.running import worker
except ImportError:
    pass
else:
    fit = worker._fit

    def deadly(job, images, trials):
        if any(trial.seed == 1 and trial.norm.name == "batch" for trial in trials):
            os.kill(os.getpid(), signal.SIGKILL)
        return fit(job, images, trials)

    worker._fit = deadly
"""


def test_a_trial_that_kills_its_process_costs_itself_alone(
    start: Start, trials_anywhere: Trials, store_in: StoreIn, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_DEADLY)
    store = store_in(tmp_path / "runs")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    sweep = start(*trials_anywhere, "optimizer.lr=0.1", f"runs_dir={store.path}", environment={"PYTHONPATH": path})
    assert sweep.wait() == 1, sweep.said
    lines = sweep.said.splitlines()
    assert lines[-2] == "1 trial failed:"
    assert "norm=batch" in lines[-1]
    assert "seed=1" in lines[-1]
    assert "SIGKILL, as the system does where memory runs out" in lines[-1]
    [again] = [
        line for line in lines if line.startswith("2 trials ended in a later attempt, because their pack failed")
    ]
    assert "SIGKILL" in again
    assert any(line.startswith("report: ") for line in lines)
    states = store.runs()
    assert len(states["FINISHED"]) == 7
    assert [*states["FAILED"].values()] == [1]
    [traceback] = store.path.glob("artifacts/*/artifacts/traceback.txt")
    assert "SIGKILL" in traceback.read_text()
    again = start(*trials_anywhere, "optimizer.lr=0.1", f"runs_dir={store.path}")
    assert again.wait() == 0, again.said
    assert "7 finished before" in again.said
