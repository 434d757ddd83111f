"""On Slurm, whatever ends a job, a node or the command, a sweep ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Running, Start, Store
    from engines.conftest import Slurm

pytestmark = pytest.mark.faults

StoreIn = Callable[[Path], "Store"]
Begin = Callable[..., "Running"]
Tables = tuple[bytes, bytes]

_ENGINE = ("hydra/launcher=slurm", "hydra.launcher.partition=main", "hydra.launcher.workers=2")
_REMOTE = b"bnbench.sweep.remote"


@pytest.fixture
def store(store_in: StoreIn, tmp_path: Path) -> Store:
    return store_in(tmp_path / "runs")


@pytest.fixture
def begin(slurm: Slurm, start: Start, trials: tuple[str, ...], store: Store) -> Begin:
    """Starts the sixteen trials on Slurm."""

    def on_slurm(*words: str) -> Running:
        return start(*trials[:-1], *_ENGINE, f"runs_dir={store.path}", *words, environment=slurm.environment)

    return on_slurm


def _trainers() -> list[int]:
    """The interpreters of this machine that train packs, on whichever node."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if _REMOTE in (entry / "cmdline").read_bytes() and ") Z" not in (entry / "stat").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _in_the_middle(sweep: Running, store: Store, slurm: Slurm) -> None:
    sweep.wait_until(lambda: store.finished() > 0 and len(slurm.jobs("RUNNING")) == 2)


def _ends_whole(sweep: Running, store: Store, slurm: Slurm, uninterrupted: Tables) -> None:
    assert sweep.wait() == 0, sweep.said
    store.check_whole(uninterrupted)
    _leaves_nothing(store, slurm)


def _leaves_nothing(store: Store, slurm: Slurm, seconds: float = 30) -> None:
    """No job in the queue, no trainer on a node, no pack in the folder that is shared."""
    deadline = time.monotonic() + seconds
    while slurm.jobs("PENDING,RUNNING,COMPLETING,REQUEUED") or _trainers():
        assert time.monotonic() < deadline, (slurm.ask("squeue"), _trainers())
        time.sleep(0.5)
    assert not [*(store.path / "slurm").glob("*")]


def test_jobs_that_are_cancelled_cost_what_they_were_at(
    begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    slurm.ask("scancel", slurm.jobs("RUNNING")[0])
    _ends_whole(sweep, store, slurm, uninterrupted)
    [line] = [line for line in sweep.said.splitlines() if line.startswith("a worker was killed; training goes on")]
    assert "its job" in line
    assert "of 16" not in line


def test_all_jobs_cancelled_at_once_are_launched_again(
    begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    slurm.ask("scancel", "--name=bnbench")
    _ends_whole(sweep, store, slurm, uninterrupted)
    assert "all jobs of array" in sweep.said or "its job" in sweep.said


@pytest.mark.parametrize("how", ["requeue", "preemption"])
def test_a_job_that_goes_back_into_the_queue_goes_on_from_there(
    how: str, begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    if how == "requeue":
        slurm.ask("scontrol", "requeue", slurm.jobs("RUNNING")[0])
    else:
        slurm.ask("sbatch", "--partition=urgent", "--output=/dev/null", "--wrap=sleep 5")
    _ends_whole(sweep, store, slurm, uninterrupted)
    assert ("Requeuing" if how == "requeue" else "preempted") in slurm.log.read_text()
    assert "a worker was killed" not in sweep.said


def test_a_node_that_is_lost_costs_what_it_was_at(
    begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    slurm.end_node("n1")
    _ends_whole(sweep, store, slurm, uninterrupted)


def test_jobs_whose_time_is_over_are_launched_again(
    begin: Begin, slurm: Slurm, store: Store, store_in: StoreIn, start: Start, trials: tuple[str, ...], tmp_path: Path
) -> None:
    longer = "training.steps=6000"  # packs of some ten seconds, two minutes in all; a limit is kept to half a minute
    sweep = begin("hydra.launcher.time=1", "hydra.launcher.workers=1", longer)
    assert sweep.wait(600) == 0, sweep.said
    assert "TIMEOUT" in slurm.log.read_text() or "Time limit exhausted" in slurm.log.read_text()
    assert "a worker was killed; training goes on" in sweep.said
    here = store_in(tmp_path / "here")
    assert start(*trials, longer, f"runs_dir={here.path}").wait() == 0
    store.check_whole(here.tables())
    _leaves_nothing(store, slurm)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_a_sweep_takes_its_jobs_out_of_the_queue(
    end: signal.Signals, begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    os.kill(sweep.process.pid, end)
    assert sweep.wait(20) == (130 if end == signal.SIGINT else 143)
    assert "Traceback" not in sweep.said
    _leaves_nothing(store, slurm)
    _ends_whole(begin(), store, slurm, uninterrupted)


def test_killed_a_sweep_leaves_jobs_that_the_next_start_cancels(
    begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    left = slurm.jobs("RUNNING")
    sweep.process.kill()
    again = begin()
    again.wait_until(lambda: not {*left} & {*slurm.jobs("RUNNING,PENDING")})
    _ends_whole(again, store, slurm, uninterrupted)


def test_killed_a_sweep_leaves_jobs_that_end_when_its_heart_stands_still(
    begin: Begin, slurm: Slurm, store: Store
) -> None:
    sweep = begin("training.steps=200000")  # hours
    sweep.wait_until(lambda: len(_trainers()) >= 2)
    sweep.process.kill()
    sweep.wait()
    deadline = time.monotonic() + 240
    while slurm.jobs("RUNNING,PENDING") or _trainers():
        assert time.monotonic() < deadline, slurm.ask("squeue")
        time.sleep(1)


@pytest.mark.parametrize("rounds", [20])
def test_killed_at_random_moments_a_sweep_on_slurm_ends_as_if_it_had_not_been(
    rounds: int, begin: Begin, slurm: Slurm, store_in: StoreIn, tmp_path: Path, uninterrupted: Tables
) -> None:
    draw = random.Random(rounds)
    killed: list[str] = []
    sweeps = 0
    while len(killed) < rounds:
        store = store_in(tmp_path / f"runs{sweeps}")
        sweep = begin(f"runs_dir={store.path}")
        _wait(sweep, 60, lambda: bool(_trainers()))
        while sweep.process.poll() is None and len(killed) < rounds:
            _wait(sweep, draw.uniform(0, 6))
            before = store.finished()
            killed.append(_kill(sweep, slurm, draw))
            assert store.finished() >= before
        if sweep.process.poll() == 0:
            store.check_whole(uninterrupted)
            sweeps += 1
    store = store_in(tmp_path / f"runs{sweeps}")
    last = begin(f"runs_dir={store.path}")
    assert last.wait(600) == 0, last.said
    store.check_whole(uninterrupted)
    assert {"parent", "job", "node", "trainer"} <= {*killed}
    print(f"killed: {', '.join(killed)}; in {sweeps + 1} sweeps")


def _wait(sweep: Running, seconds: float, for_what: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and sweep.process.poll() is None and not for_what():
        time.sleep(0.05)


def _kill(sweep: Running, slurm: Slurm, draw: random.Random) -> str:
    """End the command, a job, what trains in a job, or a whole node, which starts anew; says which."""
    jobs, trainers = slurm.jobs("RUNNING"), _trainers()
    whom = draw.choice(["parent", "job", "trainer", "node"])
    if whom == "job" and jobs:
        slurm.ask("scancel", draw.choice(jobs))
        return whom
    if whom == "trainer" and trainers:
        try:
            os.kill(draw.choice(trainers), signal.SIGKILL)
        except ProcessLookupError:
            return "nobody"
        return whom
    if whom == "node":
        node = draw.choice(slurm.nodes)
        slurm.end_node(node)
        slurm.start_node(node)
        return whom
    sweep.process.kill()
    sweep.wait()
    return "parent"
