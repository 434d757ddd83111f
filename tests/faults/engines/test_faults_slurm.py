"""On Slurm, whatever ends a job, a node or the command, a sweep ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import re
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

_TABLES = ("trials.csv", "curves.csv")

StoreIn = Callable[[Path], "Store"]
Begin = Callable[..., "Running"]
Tables = tuple[bytes, bytes]


@pytest.fixture
def store(store_in: StoreIn, tmp_path: Path) -> Store:
    return store_in(tmp_path / "runs")


@pytest.fixture
def begin(slurm: Slurm, start: Start, trials: tuple[str, ...], store: Store) -> Begin:
    """Starts the sixteen trials on Slurm."""

    def on_slurm(*words: str) -> Running:
        return start(*trials[:-1], *slurm.words, f"runs_dir={store.path}", *words, environment=slurm.environment)

    return on_slurm


def _in_the_middle(sweep: Running, store: Store, slurm: Slurm) -> None:
    sweep.wait_until(lambda: store.finished() > 0 and len(slurm.jobs("RUNNING")) == 2)


def _ends_whole(sweep: Running, store: Store, slurm: Slurm, uninterrupted: Tables) -> None:
    assert sweep.wait() == 0, sweep.said
    store.check_whole(uninterrupted)
    _leaves_nothing(store, slurm)


def _leaves_nothing(store: Store, slurm: Slurm, seconds: float = 30) -> None:
    """No job in the queue, no trainer on a node, no pack in the folder that is shared."""
    deadline = time.monotonic() + seconds
    while slurm.jobs("PENDING,RUNNING,COMPLETING,REQUEUED") or slurm.trainers():
        assert time.monotonic() < deadline, (slurm.ask("squeue"), slurm.trainers())
        time.sleep(0.5)
    assert not [*(store.path / "slurm").glob("*")]


def test_the_command_of_the_page_trains_the_same_sweep(slurm: Slurm, start: Start) -> None:
    page = Path(__file__).parents[3] / "bnbench" / "docs" / "cluster.md"
    command = re.search(r"^python -m bnbench (.+hydra/launcher=slurm.+)$", page.read_text(), re.MULTILINE)
    assert command
    small = ("model=fc", "training.steps=20", "seed=0", "sweep.tuning_seeds=[]", "training.max_pack=4")
    there = start(*command[1].split(), *small, environment=slurm.environment)
    assert there.wait() == 0, there.said
    assert "3 packs on 3 workers" in there.said, there.said
    here = start("+sweep=placement", *small)
    assert here.wait() == 0, here.said
    tables = [[(sweep.log.parent / "runs/latest" / name).read_bytes() for name in _TABLES] for sweep in (there, here)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra.launcher.partition=night"], "hydra.launcher.partition=night is unknown; allowed: main, urgent"),
        (["hydra.launcher.workers=null"], "hydra.launcher.workers is missing"),
        (["hydra.launcher.workers=0"], "hydra.launcher.workers=0 is not allowed"),
        (["hydra.launcher.options={gres: 'gpu:1'}"], "hydra/launcher=slurm: sbatch refused"),
        (["hydra.launcher.options=mem"], "hydra.launcher.options=mem is not allowed; it must be like {account: me"),
        (["hydra.launcher.time=soon"], "hydra/launcher=slurm: sbatch refused"),
    ],
)
def test_what_slurm_cannot_do_is_one_line(
    words: list[str], said: str, begin: Begin, slurm: Slurm, store: Store
) -> None:
    asked = time.monotonic()
    sweep = begin(*words)
    assert sweep.wait() == 2, sweep.said
    assert time.monotonic() - asked < 30
    assert sweep.said.splitlines()[-1].startswith(said)
    assert "Traceback" not in sweep.said
    assert not slurm.jobs()
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
    assert "all jobs ended" in sweep.said or "its job" in sweep.said


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


def test_a_node_that_is_lost_costs_what_it_was_at(
    begin: Begin, slurm: Slurm, store: Store, uninterrupted: Tables
) -> None:
    sweep = begin()
    _in_the_middle(sweep, store, slurm)
    asked = time.monotonic()
    slurm.end_node("n1")
    _ends_whole(sweep, store, slurm, uninterrupted)
    assert time.monotonic() - asked < 110  # Slurm itself would begin the lost job again after two minutes


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
    assert left, "no job ran when the sweep was killed"
    sweep.process.kill()
    again = begin()
    again.wait_until(lambda: not {*left} & {*slurm.jobs("RUNNING,PENDING")})
    _ends_whole(again, store, slurm, uninterrupted)


def test_killed_a_sweep_leaves_jobs_that_end_when_its_heart_stands_still(
    begin: Begin, slurm: Slurm, store: Store
) -> None:
    sweep = begin("training.steps=200000")  # hours
    sweep.wait_until(lambda: len(slurm.trainers()) >= 2)
    sweep.process.kill()
    sweep.wait()
    deadline = time.monotonic() + 240
    while slurm.jobs("RUNNING,PENDING") or slurm.trainers():
        assert time.monotonic() < deadline, slurm.ask("squeue")
        time.sleep(1)
