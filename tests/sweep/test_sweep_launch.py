"""Packs get their results although workers are killed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from bnbench.sweep.running.failure import SweepFailedError
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.launch import launch_packs


def _job(number: int, keys: str) -> tuple[Job, list[str]]:
    values: list[dict[str, Any]] = [{"seed": seed} for seed in range(len(keys))]
    folders = (f"runs/{name}" for name in ("cache", "checkpoints", "a-1", "spool"))
    return Job(number, [*keys], values, *folders, "5c", "host 1 2"), [f"pack={number}"]


def _ended(value: Any, status: JobStatus = JobStatus.COMPLETED) -> JobReturn:
    job_return = JobReturn(overrides=[], status=status)
    job_return.return_value = value
    return job_return


class _Launcher:
    """A launcher whose workers finish some trials and then, but for the last time, break."""

    def __init__(self, *rounds: str) -> None:
        self.rounds = list(rounds)
        self.finished: set[str] = set()
        self.launched: list[list[Job]] = []

    def __call__(self, overrides: list[list[str]]) -> Sequence[JobReturn]:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parse = OverridesParser.create().parse_override
        import json

        jobs = [Job(**json.loads(str(parse(texts[-1]).value()))) for texts in overrides]
        assert [texts[0] for texts in overrides] == [f"pack={job.number}" for job in jobs]
        self.launched.append(jobs)
        self.finished |= set(self.rounds.pop(0))
        if self.rounds:
            raise BrokenProcessPool("a process in the pool was terminated")
        return [_ended(None) for _ in jobs]


def test_what_is_left_is_started_again_with_its_own_values() -> None:
    launcher, said = _Launcher("abd", "c", "efg"), []
    launch_packs([_job(0, "abc"), _job(1, "de"), _job(2, "fg")], launcher, lambda: launcher.finished, said.append)
    assert [[job.keys for job in jobs] for jobs in launcher.launched] == [
        [["a", "b", "c"], ["d", "e"], ["f", "g"]],
        [["c"], ["e"], ["f", "g"]],
        [["e"], ["f", "g"]],
    ]
    assert launcher.launched[1][0].values == [{"seed": 2}]
    assert said == [f"a worker was killed; training goes on with the {n} trials left" for n in (4, 3)]


def test_workers_that_are_killed_before_they_finish_anything_end_the_sweep() -> None:
    launcher = _Launcher("a", "", "", "", "bc")
    with pytest.raises(SweepFailedError, match="killed 3 times before they had finished a trial; give each more mem"):
        launch_packs([_job(0, "ab"), _job(1, "c")], launcher, lambda: launcher.finished, print)
    assert len(launcher.launched) == 4


def test_a_sweep_whose_last_worker_was_killed_after_its_last_trial_is_done() -> None:
    launcher = _Launcher("abc", "")
    launch_packs([_job(0, "ab"), _job(1, "c")], launcher, lambda: launcher.finished, print)
    assert len(launcher.launched) == 1


def test_nothing_to_train_launches_nothing() -> None:
    launcher = _Launcher()
    launch_packs([], launcher, set, print)
    assert launcher.launched == []


def test_what_a_job_raised_is_raised_here(capsys: pytest.CaptureFixture[str]) -> None:
    returns = [_ended(None), _ended(ValueError("a bug"), JobStatus.FAILED)]
    with pytest.raises(ValueError, match="a bug"):
        launch_packs([_job(0, "ab"), _job(1, "c")], lambda overrides: returns, set, print)
    assert capsys.readouterr().err == ""
