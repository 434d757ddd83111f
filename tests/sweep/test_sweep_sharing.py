"""A sweep leaves to another on the same store what that one trains, and takes it over once it is nobody's."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bnbench
from bnbench.config import Trial
from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.sweep.running import sharing
from bnbench.sweep.running.published import Sweep
from bnbench.tracking import Store, TrackingError, heartbeat
from bnbench.tracking.leases import Leases

if TYPE_CHECKING:
    from conftest import Planted

_WORDS = ("norm=none,batch", "model=fc", "model.width=8", "data=digits", "training.steps=2", "hydra.launcher.n_jobs=1")

_KEYS: list[str] = []  # of those trials, found once


class Other:
    """Another sweep on the store under a folder, which holds some trials; its heart beats."""

    def __init__(self, folder: Path, keys: Sequence[str]) -> None:
        self._store = Store.open(Workspace.at(folder))
        self.run_id = self._store.start_sweep(SweepRecord(Asked("other", "0a1b")), [])
        self._heart = self._store.heartbeat(self.run_id)
        self._heart.start()
        self._leases = self._store.leases(self.run_id)
        self._leases.take(keys)

    def record(self, keys: Sequence[str], status: str = "finished", accuracies: Sequence[float] = ()) -> None:
        results = [
            TrialResult(key, {"seed": 0}, status, metrics={names.TEST_ACC: accuracy, names.VAL_ACC_FINAL: accuracy})
            for key, accuracy in zip(keys, accuracies or [0.25] * len(keys), strict=True)
        ]
        self._store.record(results, self.run_id)

    def give_back(self) -> None:
        self._leases.give_back()

    def die(self) -> None:
        self._heart.stop()

    @property
    def status(self) -> str:
        return str(self._store._connection.client.get_run(self.run_id).info.status)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "DEAD_SECONDS", 1.0)


def _run(folder: Path, *words: str) -> Sweep:
    sweep = bnbench.run(*_WORDS, f"runs_dir={folder}", *words)
    assert sweep is not None
    return sweep


@pytest.fixture
def keys(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of the four trials, in the order of the plan."""
    if not _KEYS:
        planted.accuracies(lambda trial: 0.5)
        _KEYS.extend(_run(tmp_path_factory.mktemp("plan"), "seed=0,1").trials["key"])
        planted.trained.clear()
    return _KEYS


def _meanwhile(planted: Planted, trials: int, act: Callable[[], None]) -> threading.Thread:
    """Do something once so many trials were trained and the sweep has come to wait."""

    def once() -> None:
        deadline = time.monotonic() + 30
        while len(planted.trained) < trials and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=once)
    thread.start()
    return thread


def _trained(planted: Planted) -> list[str]:
    return [trial.key for trial in planted.trained]


def _accuracies(sweep: Sweep) -> dict[str, float]:
    return dict(zip(sweep.trials["key"], sweep.trials["test/acc"], strict=True))


def _reused(sweep: Sweep) -> int:
    return sweep.table.record.plan.reused


@pytest.mark.usefixtures("quick")
def test_what_another_sweep_trains_is_left_to_it_and_is_in_both_reports(
    tmp_path: Path, planted: Planted, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Other(tmp_path, keys[:3])
    planted.accuracies(lambda trial: 0.5)

    def act() -> None:
        other.record(keys[:2])
        time.sleep(1)
        other.record(keys[2:3])

    meanwhile = _meanwhile(planted, 1, act)
    sweep = _run(tmp_path, "seed=0,1")
    meanwhile.join()
    assert _trained(planted) == keys[3:]
    assert _accuracies(sweep) == {**dict.fromkeys(keys[:3], 0.25), keys[3]: 0.5}
    assert (_reused(sweep), sweep.table.record.plan.trials) == (3, 4)
    host = socket.gethostname()
    said = capsys.readouterr().out
    assert f"3 trials left to other-0a1b on host {host}, which trains them" in said.splitlines()
    manifest = json.loads((tmp_path / "latest/manifest.json").read_text())
    assert manifest["plan"]["reused"] == 3
    other.die()


@pytest.mark.usefixtures("quick")
def test_what_was_recorded_since_the_plan_was_made_is_not_trained_again(
    tmp_path: Path, planted: Planted, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other(tmp_path, keys[:2])
    take = Leases.take

    def just_before(self: Leases, wanted: Sequence[str]) -> Any:
        other.record(keys[:2])
        other.give_back()
        return take(self, wanted)

    monkeypatch.setattr(Leases, "take", just_before)
    planted.accuracies(lambda trial: 0.5)
    assert _accuracies(_run(tmp_path, "seed=0,1")) == {**dict.fromkeys(keys[:2], 0.25), **dict.fromkeys(keys[2:], 0.5)}
    assert sorted(_trained(planted)) == sorted(keys[2:])
    other.die()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("end", ["gives back", "fails", "dies"])
def test_what_another_sweep_leaves_without_a_result_is_trained(
    end: str, tmp_path: Path, planted: Planted, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Other(tmp_path, keys[:3])
    planted.accuracies(lambda trial: 0.5)

    def act() -> None:
        other.record(keys[:1])
        if end == "fails":
            other.record(keys[1:3], "failed")
        other.die() if end == "dies" else other.give_back()

    meanwhile = _meanwhile(planted, 1, act)
    sweep = _run(tmp_path, "seed=0,1")
    meanwhile.join()
    assert sorted(_trained(planted)) == sorted(keys[1:])
    assert _trained(planted)[0] == keys[3]
    assert _accuracies(sweep) == {keys[0]: 0.25, **dict.fromkeys(keys[1:], 0.5)}
    assert "no sweep trains all of the 2 trials left any more; this one goes on with them" in capsys.readouterr().out
    assert other.status == ("KILLED" if end == "dies" else "RUNNING")
    other.die()


@pytest.mark.usefixtures("quick")
def test_trained_anew_a_sweep_leaves_nothing_to_others(tmp_path: Path, planted: Planted, keys: list[str]) -> None:
    other = Other(tmp_path, keys)
    planted.accuracies(lambda trial: 0.5)
    sweep = _run(tmp_path, "seed=0,1", "resume=false")
    assert sorted(_trained(planted)) == sorted(keys)
    assert {*_accuracies(sweep).values()} == {0.5}
    other.die()


@pytest.mark.usefixtures("quick")
def test_interrupted_while_it_waits_a_sweep_ends_at_once(
    tmp_path: Path, planted: Planted, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other(tmp_path, keys)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sharing, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, "seed=0,1")
    assert _trained(planted) == []
    assert [one.summary.status for one in Store.open(Workspace.at(tmp_path)).sweeps()] == ["KILLED", "RUNNING"]
    other.die()


@pytest.mark.usefixtures("quick")
def test_a_store_that_is_away_while_a_sweep_waits_is_asked_again(
    tmp_path: Path, planted: Planted, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other(tmp_path, keys)
    held, asked = Leases.held, []

    def away_at_first(self: Leases) -> Any:
        asked.append(1)
        if len(asked) < 5:
            raise TrackingError("away")
        other.record(keys)
        return held(self)

    monkeypatch.setattr(Leases, "held", away_at_first)
    assert _accuracies(_run(tmp_path, "seed=0,1")) == dict.fromkeys(keys, 0.25)
    assert _trained(planted) == []
    other.die()


@pytest.mark.usefixtures("quick")
def test_looks_of_two_sweeps_until_settled_are_shared_too(tmp_path: Path, planted: Planted) -> None:
    """The other one trains the seeds of the second look meanwhile."""
    accuracy = {"none": 0.8, "batch": 0.804}

    def of(trial: Trial) -> float:
        return accuracy[trial.norm.name] + random.Random(f"{trial.norm.name} {trial.seed}").gauss(0, 0.004)

    planted.accuracies(of)
    words = ("sweep.until=settled", "sweep.margin_pp=0.5", "sweep.max_seeds=24")
    alone = _run(tmp_path / "alone", *words)
    trained = [*planted.trained]
    assert len(trained) > 20
    planted.trained.clear()
    second = [trial for trial in trained if trial.seed >= 10]
    other = Other(tmp_path / "shared", [trial.key for trial in second])

    theirs = [trial.key for trial in second], "finished", [*map(of, second)]
    meanwhile = _meanwhile(planted, 20, lambda: other.record(*theirs))
    shared = _run(tmp_path / "shared", *words)
    meanwhile.join()
    assert len(planted.trained) == 20
    assert _accuracies(shared) == _accuracies(alone)
    other.die()
