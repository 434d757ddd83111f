from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bnbench.config import ConfigError
from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, ClaimRecord, Environment, Place, SweepRecord
from bnbench.tracking import transfer
from bnbench.tracking.archive import SweepArchive, read_archive, write_archive
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]
Start = Callable[..., str]


@pytest.fixture
def results(make_result: Make) -> list[TrialResult]:
    return [
        make_result(0),
        make_result(1, status="diverged", diverged_step=7, reason="loss"),
        make_result(2, status="failed", metrics={}, curves={}, reason="broken\nin two"),
        make_result(100),
        make_result(4),  # has no run
    ]


@pytest.fixture
def archive(store: Store, results: list[TrialResult], start: Start, tmp_path: Path) -> SweepArchive:
    """A sweep of which another one trained the first trial, read back from its file."""
    before = start(results[:1], name="earlier", id="ffff", versions={"numpy": "1"}, hardware={"cpu": "old"})
    store.record(results[:1], before)
    asked = Asked("placement", "0a1b", "?", ["x"], tuning_seeds=[100], claims={"C1": ClaimRecord("h", {})})
    run_id = store.start_sweep(
        SweepRecord(asked, Environment({"numpy": "2"}, hardware={"cpu": "new"})),
        [PlannedTrial(r.key, r.params, arm="a", reused=r is results[0]) for r in results],
    )
    store.record(results[1:4], run_id)
    (tmp_path / "report.html").write_text("the report")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.svg").write_text("<svg>")
    files = [tmp_path / "report.html", tmp_path / "figures"]
    store.finish_sweep(run_id, status="FAILED", metrics={"sweep/wall_seconds": 3.5}, artifacts=files, note="l\n\nfound")
    path = tmp_path / "a.zip"
    write_archive(path, store.archived("placement"))
    return read_archive(path)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Somebody else's store."""
    return Store.open(Workspace.at(tmp_path / "theirs", experiment="theirs"))


def _count(store: Store) -> dict[str, int]:
    connection = store._connection
    kinds = [run.data.tags[names.Tag.KIND] for run in connection.client.search_runs([connection.experiment_id])]
    return {kind: kinds.count(kind) for kind in kinds}


def test_a_sweep_that_was_handed_on_is_the_same_in_another_store(
    store: Store, archive: SweepArchive, other: Store
) -> None:
    added = other.add_archive(archive)
    assert added == transfer.Added(added.run_id, is_new=True, trials=4, recorded_before=0, differing=0)
    here, there = store.load("placement"), other.load("latest")
    pd.testing.assert_frame_equal(here.trials, there.trials)
    pd.testing.assert_frame_equal(here.curves, there.curves)
    assert replace(here.record, place=Place()) == replace(there.record, place=Place())
    assert there.record.place.run_id == added.run_id
    origins = [one.origin for one in other.recorded("latest")[1]]
    assert [origin.environment.versions["numpy"] for origin in origins] == ["1", "2", "2", "2", "2"]
    assert [origin.environment.hardware["cpu"] for origin in origins] == ["old", *["new"] * 4]
    [mine], [theirs] = [s.sweeps()[:1] for s in (store, other)]
    assert replace(mine, run_id="") == replace(theirs, run_id="")


def test_the_runs_hold_what_they_held(store: Store, archive: SweepArchive, other: Store, tmp_path: Path) -> None:
    run_id = other.add_archive(archive).run_id
    client = other._connection.client
    assert Path(client.download_artifacts(run_id, "report.html", str(tmp_path))).read_text() == "the report"
    assert Path(client.download_artifacts(run_id, "figures/a.svg", str(tmp_path))).read_text() == "<svg>"
    note = client.get_run(run_id).data.tags["mlflow.note.content"]
    assert note.endswith("\n\nfound")
    assert f"experiments/{other.experiment_id}/runs/{run_id}/" in note
    assert client.get_run(run_id).data.metrics == {"sweep/wall_seconds": 3.5}
    again = other.archived("latest")
    assert dataclasses.replace(again, run={}) == dataclasses.replace(archive, run={})


def test_loading_twice_adds_nothing(archive: SweepArchive, other: Store) -> None:
    other.add_archive(archive)
    before = _count(other)
    added = other.add_archive(archive)
    assert (added.is_new, added.trials, added.recorded_before, added.differing) == (False, 0, 4, 0)
    assert _count(other) == before == {"sweep": 1, "trial": 4}


def test_loading_into_the_store_it_came_from_adds_nothing(store: Store, archive: SweepArchive) -> None:
    before = _count(store)
    assert store.add_archive(archive).trials == 0
    assert _count(store) == before


def test_trials_that_are_known_stand_and_failed_ones_give_way(
    archive: SweepArchive, other: Store, make_result: Make
) -> None:
    mine = make_result(0, metrics={names.TEST_ACC: 0.25}, curves={})
    other.record([mine, make_result(1, status="failed", metrics={}, curves={}, reason="mine")])
    added = other.add_archive(archive)
    assert (added.trials, added.recorded_before, added.differing) == (3, 1, 1)
    trials = other.load("latest").trials
    assert trials["status"].tolist() == ["finished", "diverged", "failed", "finished", "missing"]
    assert trials[names.TEST_ACC][0] == 0.25
    [run] = other._connection.client.search_runs(
        [other.experiment_id], filter_string=f"tags.`{names.Tag.KEY}` = '{mine.key}'"
    )
    assert "0a1b" in run.data.tags[names.Tag.SWEEPS].split()


def test_loading_that_was_broken_off_goes_on(
    archive: SweepArchive, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "write_views", broken)
        with pytest.raises(KeyboardInterrupt):
            other.add_archive(archive)
    other.close_killed()
    added = other.add_archive(archive)
    assert (added.is_new, added.trials, added.recorded_before) == (False, 0, 4)
    took = (archive.run["ended"] - archive.run["started"]) / 1000
    assert other.load("latest").record.found_out.wall_seconds == took
    assert _count(other) == {"sweep": 1, "trial": 4}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "0.5", None])
def test_what_cannot_be_recorded_is_refused_before_anything_is(
    archive: SweepArchive, other: Store, number: object
) -> None:
    archive.results[-1].metrics[names.TEST_ACC] = number  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"^sweep placement-0a1b cannot be recorded") as caught:
        other.add_archive(archive)
    assert "\n" not in str(caught.value)
    assert _count(other) == {}
