from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from bnbench.config.workspace import Workspace
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.tracking.server import running_server
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]
_RECORD = SweepRecord(Asked("a", "1", "?", ["x"]))


def _record(runs_dir: Path, results: list[TrialResult], id: str = "1") -> str:
    store = Store.open(Workspace.at(runs_dir))
    run_id = store.start_sweep(
        SweepRecord(Asked("a", id, "?", ["x"])), [PlannedTrial(r.key, r.params) for r in results]
    )
    store.record(results, run_id)
    report = runs_dir / "report.html"
    report.write_text("the report")
    store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[report], note="")
    return run_id


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with characters that a URI has to escape."""
    return tmp_path / "of a 50% #1_x"


@pytest.mark.parametrize("copied", [False, True])
def test_a_moved_or_copied_folder_is_read_and_written_where_it_is(home: Path, make_result: Make, copied: bool) -> None:
    old, new = home / "old" / "runs", home / "new" / "runs"
    results = [make_result(0), make_result(1, status="failed", metrics={}, curves={}, reason="broken")]
    _record(old, results)
    before = Store.open(Workspace.at(old)).load("latest")
    (shutil.copytree if copied else shutil.move)(old.parent, new.parent)
    kept = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    reader = Store.open(Workspace.at(new), create=False)
    moved = reader.load("latest")
    pd.testing.assert_frame_equal(moved.trials, before.trials)
    pd.testing.assert_frame_equal(moved.curves, before.curves)
    assert moved.record.place.tracking_uri == f"sqlite:///{new}/mlflow.db"
    reader.record([make_result(2, status="failed", reason="broken as well")])  # as `sync` does
    run_id = _record(new, [make_result(3)], id="2")
    assert (new / "artifacts" / run_id / "artifacts" / "report.html").read_text() == "the report"
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == kept
    assert old.exists() == copied


def test_whoever_reads_the_database_of_a_moved_folder_finds_its_files(
    home: Path, make_result: Make, free_port: int
) -> None:
    old, new = home / "old" / "runs", home / "new" / "runs"
    run_id = _record(old, [make_result(0)])
    shutil.move(old.parent, new.parent)
    Store.open(Workspace.at(new), create=False).show_files_here()  # as `ui` does
    client = MlflowClient(f"sqlite:///{new}/mlflow.db")
    assert Path(client.download_artifacts(run_id, "report.html", str(home))).read_text() == "the report"
    assert client.get_experiment("0").artifact_location == (new / "artifacts").as_uri() + "/0"
    address = Store.open(Workspace.at(new), create=False).address
    asked = f"get-artifact?run_id={run_id}&path=report.html"
    with (
        running_server(address, host="127.0.0.1", port=free_port) as (page, _),
        urllib.request.urlopen(f"{page}/{asked}") as answer,
    ):
        assert answer.read() == b"the report"
    assert not old.exists()


def test_a_process_that_runs_while_another_sees_the_folder_elsewhere_writes_to_its_own_place(
    home: Path, make_result: Make
) -> None:
    here, there = home / "runs", home / "mounted"
    here.mkdir(parents=True)
    store = Store.open(Workspace.at(here))
    run_id = store.start_sweep(_RECORD, [])
    shutil.copytree(here, there)
    with_files_there = Store.open(Workspace.at(there))
    with_files_there.show_files_here()
    shutil.copy(there / "mlflow.db", here / "mlflow.db")  # one database, which now says that all files are there
    before = {*there.rglob("*")}
    store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[here / "mlflow.db.lock"], note="")
    assert (here / "artifacts" / run_id / "artifacts" / "mlflow.db.lock").exists()
    assert {*there.rglob("*")} == before


def test_files_that_somebody_keeps_elsewhere_on_purpose_stay_there(home: Path, make_result: Make) -> None:
    runs, elsewhere = home / "runs", home / "big disk" / "artifacts"
    _record(runs, [make_result(0)])
    client = MlflowClient(f"sqlite:///{runs}/mlflow.db")
    elsewhere.mkdir(parents=True)
    client.create_experiment("own", artifact_location=elsewhere.as_uri())
    store = Store.open(Workspace.at(runs, experiment="own"))
    run_id = store.start_sweep(_RECORD, [])
    assert (elsewhere / run_id / "artifacts" / "sweep.json").exists()
    assert Store.open(Workspace.at(runs, experiment="own")).load("latest").record.asked.id == "1"
    assert client.get_experiment_by_name("own").artifact_location == elsewhere.as_uri()
