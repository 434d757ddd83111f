from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bnbench.config import ConfigError
from bnbench.config.store_address import Address
from bnbench.config.workspace import Workspace
from bnbench.tracking import NothingRecordedError, TrackingError
from bnbench.tracking.store import Store

_OPEN = """
import sys; from pathlib import Path; from bnbench.config.workspace import Workspace; from bnbench.tracking import Store
print(Store.open(Workspace.at(Path(sys.argv[1]))).experiment_id)
"""


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = "import sys\nfrom bnbench.tracking import Spool, drain, server\n"
    code += "assert not {'mlflow', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_processes_that_open_a_fresh_database_at_once_agree_and_say_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OPEN, str(tmp_path / "runs")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers == [answers[0]] * 3
    assert answers[0][0].strip().isdigit()
    assert answers[0][1] == ""


@pytest.mark.parametrize(
    ("uri", "shown", "reason"),
    [
        ("file:///tmp/mlruns", "file:///tmp/mlruns", "folder of files"),
        ("mlruns", "mlruns", "folder of files"),
        ("sqlite://", "sqlite://", "not the address"),
        ("sqlite:///:memory:", "sqlite:///:memory:", "not the address"),
        ("http://", "http://", "not the address"),
        ("ftp://host/x", "ftp://host/x", "not the address"),
        ("redis://me:secret@host/x", "redis://me:***@host/x", "not the address"),
    ],
)
def test_an_address_that_is_no_store_is_refused_in_one_line(tmp_path: Path, uri: str, shown: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Workspace.at(tmp_path, uri)
    message = str(caught.value)
    assert message.startswith(f"tracking.uri={shown} is ")
    assert reason in message
    assert "tracking.uri=null" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_answered_within_seconds_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        Store.open(Workspace.at(tmp_path, "http://127.0.0.1:1"))
    assert time.monotonic() - before < 5
    assert str(caught.value) == (
        "tracking.uri=http://127.0.0.1:1 cannot be used (Connection refused); "
        "start the server, or leave tracking.uri=null for SQLite under runs_dir"
    )
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_cannot_be_made_is_answered_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(TrackingError, match=r"cannot be used \(.*\); set runs_dir or tracking.uri") as caught:
        Store.open(Workspace.at(tmp_path / "runs"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_answered_in_one_line_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(TrackingError, match="file is not a database"):
        Store.open(Workspace.at(tmp_path, f"sqlite:///{path}"))
    assert path.read_bytes() == b"precious" * 1000


def test_a_database_without_its_driver_is_answered_at_once_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="see that the database runs and its Python driver") as caught:
        Store.open(Workspace.at(tmp_path, "mysql+oursql://me:secret@127.0.0.1/x"))
    assert "secret" not in str(caught.value)


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(NothingRecordedError, match="nothing is recorded"):
        Store.open(Workspace.at(tmp_path), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_makes_no_experiment(runs_dir: Path, store: Store) -> None:
    with pytest.raises(NothingRecordedError, match=r"tracking\.experiment=other is not in"):
        Store.open(Workspace.at(runs_dir, experiment="other"), create=False)


def test_a_relative_database_is_the_same_file_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = Address.resolve("sqlite:///shared/a.db", Path("runs"))
    assert address.database == tmp_path / "shared" / "a.db"
    assert address.uri == f"sqlite:///{tmp_path}/shared/a.db"
    assert address.artifacts == (tmp_path / "shared" / "artifacts").as_uri()


def test_a_database_that_a_killed_process_has_half_made_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / ".mlflow.db.0123456789ab.draft"
    with closing(sqlite3.connect(half)) as database:
        database.execute("CREATE TABLE _alembic_tmp_latest_metrics (key TEXT)")
    store = Store.open(Workspace.at(tmp_path))
    assert store.finished() == {}
    assert not half.exists()


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/../../outside", "a\\b", "x" * 400])
def test_no_name_of_an_experiment_leads_out_of_runs_dir(tmp_path: Path, runs_dir: Path, name: str) -> None:
    before = {*runs_dir.parent.iterdir()}
    store = Store.open(Workspace.at(runs_dir, experiment=name))
    uri = store._connection.client.get_experiment(store.experiment_id).artifact_location
    assert uri == (runs_dir / "artifacts").as_uri()
    assert {*runs_dir.parent.iterdir()} == before


def test_an_experiment_without_a_name_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as caught:
        Store.open(Workspace.at(tmp_path, experiment=""))
    assert "\n" not in str(caught.value)
