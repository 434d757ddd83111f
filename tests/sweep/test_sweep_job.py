"""A pack's way to its worker and back: nothing is lost in an override, and a failure is a result."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bnbench.config import ConfigError, environment
from bnbench.data import ImageData
from bnbench.record.names import Tag
from bnbench.record.results import TrialResult
from bnbench.sweep.planning.plan import DataLoader, Plan, make_plan
from bnbench.sweep.running.job import Job, Progress, is_shared, progress_files, progress_writer, read_progress, share
from bnbench.sweep.running.worker import train_pack
from bnbench.tracking import Spool, TrackingError, this_process

if TYPE_CHECKING:
    from conftest import CountingSweep


def _job(tmp_path: Path, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "number": 3,
        "keys": ["a" * 16, "b" * 16],
        "values": [{"seed": 0, "optimizer.lr": 0.1}, {"seed": 1, "optimizer.lr": 1e-5}],
        "cache": str(tmp_path / "runs" / "cache"),
        "checkpoints": str(tmp_path / "runs" / "checkpoints"),
        "sweep_dir": str(tmp_path / "runs" / "placement-0a1b"),
        "spool": str(tmp_path / "runs" / "spool"),
        "run_id": "5c",
        "process": this_process(),
    }
    return Job(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"values": [{"norm.affine": True, "training.targets": [0.5, 0.9], "model.head_init": None}, {}]},
        {"values": [{"optimizer.lr": 0.1 + 0.2}, {"optimizer.lr": 5e-324}]},
        {"cache": '/tmp/it\'s my "runs"'},
        {"cache": "/tmp/back\\slash\\"},
        {"cache": "/tmp/{a: [1,2]}, #=$ %~"},
        {"cache": "/tmp/ünï — 数"},
        {"cache": "/tmp/two\nlines"},
        {"cache": "/tmp/${seed}"},
    ],
)
def test_a_job_arrives_in_the_worker_as_it_was_sent(
    changes: dict[str, Any], tmp_path: Path, sweep: CountingSweep
) -> None:
    job = _job(tmp_path, **changes)
    config = sweep.compose([job.override])
    assert Job(**json.loads(config.pack)) == job
    assert Job.of_override(job.override) == job


def test_progress_that_was_not_written_is_none(tmp_path: Path) -> None:
    assert read_progress(_job(tmp_path).progress_file) == Progress()


# The worker's side, with made-up images and no training.


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(60 * 64, dtype=np.uint8).reshape(60, 1, 8, 8)
    data = ImageData.from_arrays("digits", pixels, np.arange(60) % 10, classes=10, source="this test")
    monkeypatch.setattr("bnbench.sweep.planning.plan.load_images", lambda *args, **options: data)


@pytest.fixture
def planned(sweep: CountingSweep, images: None, tmp_path: Path) -> Plan:
    points = sweep.points({"seed": "0,1", "optimizer.lr": "0.1,0.2"}, ["data=digits", "norm=batch", "training.steps=5"])
    return make_plan(points, DataLoader(tmp_path / "cache"), list)


def _send(plan: Plan, tmp_path: Path, sweep: CountingSweep) -> tuple[Job, Any]:
    [pack] = plan.packs
    job = _job(tmp_path, keys=[p.trial.key for p in pack], values=[p.values for p in pack])
    Path(job.spool).mkdir(parents=True)  # as the sweep does
    return job, sweep.compose([*pack[0].overrides, job.override])


def _result(key: str, params: dict[str, Any]) -> TrialResult:
    return TrialResult(key=key, params=params, status="finished", metrics={"test/acc": 0.5})


def test_a_worker_trains_the_planned_trials_and_spools_their_results(
    planned: Plan, tmp_path: Path, sweep: CountingSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(job: Job, images: Any, trials: Sequence[Any]) -> list[TrialResult]:
        return [_result(trial.key, trial.params) for trial in trials]

    monkeypatch.setattr("bnbench.sweep.running.worker._fit", fit)
    job, config = _send(planned, tmp_path, sweep)
    train_pack(config)
    results = Spool(Path(job.spool)).read_all()
    assert [r.key for r in results] == job.keys
    assert [r.params for r in results] == [p.trial.params for p in planned.planned]
    assert {r.tags[Tag.PACK] for r in results} == {"placement-0a1b/3"}
    trained_by = {(r.tags[Tag.HOST], r.tags[Tag.CPU], r.tags[Tag.LAUNCHER]) for r in results}
    assert trained_by == {(socket.gethostname(), environment.cpu_name(), "joblib")}


def test_a_pack_that_fails_is_tried_again_then_trial_by_trial_and_what_still_fails_is_a_result(
    planned: Plan, tmp_path: Path, sweep: CountingSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[int]] = []

    def fit(job: Job, images: Any, trials: Sequence[Any]) -> list[TrialResult]:
        tried.append([job.keys.index(trial.key) for trial in trials])
        if job.keys[1] in {trial.key for trial in trials}:
            raise RuntimeError("out of memory")
        return [_result(trial.key, trial.params) for trial in trials]

    monkeypatch.setattr("bnbench.sweep.running.worker._fit", fit)
    job, config = _send(planned, tmp_path, sweep)
    train_pack(config)
    assert tried == [[0, 1, 2, 3], [0, 1, 2, 3], [0], [1], [2], [3]]
    results = {r.key: r for r in Spool(Path(job.spool)).read_all()}
    assert [results[key].status for key in job.keys] == ["finished", "failed", "finished", "finished"]
    failed = results[job.keys[1]]
    assert (failed.reason or "").startswith("Traceback")
    assert (failed.reason or "").splitlines()[-1] == "RuntimeError: out of memory"
    assert failed.ended >= failed.started > 0
    assert [results[key].tags[Tag.ATTEMPT] for key in job.keys] == ["3", "4", "5", "6"]
    assert {r.tags[Tag.FAILED_BEFORE] for r in results.values()} == {"RuntimeError: out of memory"}
    assert {r.tags[Tag.PARENT] for r in results.values()} == {"5c"}


def test_results_that_cannot_be_written_are_not_trained_again(
    planned: Plan, tmp_path: Path, sweep: CountingSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fit(job: Job, images: Any, trials: Sequence[Any]) -> list[TrialResult]:
        tried.append(len(trials))
        shutil.rmtree(job.spool)
        Path(job.spool).touch()  # a file where the folder was
        return [_result(trial.key, trial.params) for trial in trials]

    monkeypatch.setattr("bnbench.sweep.running.worker._fit", fit)
    _, config = _send(planned, tmp_path, sweep)
    for _ in range(2):  # the second time it is noticed before training
        with pytest.raises(TrackingError, match=r"cannot be written to .*spool .*make room"):
            train_pack(config)
    assert tried == [4]


def test_a_worker_makes_no_spool_on_a_host_that_does_not_share_it(
    planned: Plan, tmp_path: Path, sweep: CountingSweep
) -> None:
    job, config = _send(planned, tmp_path, sweep)
    Path(job.spool).rmdir()
    with pytest.raises(TrackingError, match=rf"{job.spool}, which is not on host \S+; hydra/launcher=ray"):
        train_pack(config)
    assert not Path(job.spool).exists()


def test_a_worker_refuses_trials_that_are_not_the_planned_ones(
    planned: Plan, tmp_path: Path, sweep: CountingSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, config = _send(planned, tmp_path, sweep)
    pixels = np.zeros((60, 1, 8, 8), dtype=np.uint8)
    other = ImageData.from_arrays("digits", pixels, np.arange(60) % 10, classes=10, source="another host")
    monkeypatch.setattr("bnbench.sweep.planning.plan.load_images", lambda *args, **options: other)
    with pytest.raises(ConfigError, match=f"not the planned {job.keys[0]}: it has other data"):
        train_pack(config)
    assert Spool(Path(job.spool)).pending() == []


def test_a_folder_is_shared_only_where_it_is_the_same_folder(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    token = share(here)
    assert is_shared(here, token)
    assert not is_shared(elsewhere, token)
    share(elsewhere)  # another sweep's, by the same name
    assert not is_shared(elsewhere, token)


def test_progress_is_written_whole_and_not_more_often_than_anybody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnbench.sweep.running import job as module

    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    job = _job(tmp_path)
    report: Callable[[int, int], None] = progress_writer(job.progress_file, job.keys)
    keys = tuple(job.keys)
    report(10, 0)
    assert read_progress(job.progress_file) == Progress(10, 0, keys)
    report(20, 1)
    assert read_progress(job.progress_file) == Progress(10, 0, keys)
    now += 1
    report(30, 1)
    assert read_progress(job.progress_file) == Progress(30, 1, keys)
    assert progress_files(Path(job.sweep_dir)) == [job.progress_file]
    assert [file.name for file in job.progress_file.parent.iterdir()] == ["3.json"]
