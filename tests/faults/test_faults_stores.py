"""Stores and disks that fail: training goes on or ends with a line, nothing is corrupted, and it goes on after."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bnbench.config.store_address import Address
from bnbench.tracking.server import running_server

if TYPE_CHECKING:
    from conftest import Running, Start, Store

pytestmark = pytest.mark.faults

Trials = tuple[str, ...]
StoreIn = Callable[[Path], "Store"]
Tables = tuple[bytes, bytes]
FreePort = Callable[[], int]


def _waiting(runs_dir: Path) -> int:
    return len([*runs_dir.glob("spool/*/*.jsonl")])


def _report(sweep: Running) -> Path:
    """The folder of a sweep's report, which it names at its end."""
    [line] = [line for line in sweep.said.splitlines() if line.startswith("report: ")]
    return (sweep.log.parent / line.split()[1]).parent


def _tables(folder: Path) -> Tables:
    return (folder / "trials.csv").read_bytes(), (folder / "curves.csv").read_bytes()


def test_two_sweeps_at_once_on_one_database_are_both_whole(
    start: Start, trials: Trials, store_in: StoreIn, tmp_path: Path, uninterrupted: Tables
) -> None:
    store = store_in(tmp_path / "runs")
    sweeps = [start(*trials, *more, f"runs_dir={store.path}") for more in ([], ["seed=range(2,6)"])]
    for sweep in sweeps:
        assert sweep.wait() == 0, sweep.said
    first, second = (_tables(_report(sweep)) for sweep in sweeps)
    assert first == uninterrupted
    rows = [line for line in second[0].decode().splitlines() if ",2," in line or ",3," in line]
    assert rows
    assert len(store.runs()["FINISHED"]) == 24
    assert set(store.runs()) == {"FINISHED"}
    assert store.sweeps() == ["FINISHED"] * 2
    assert _waiting(store.path) == 0


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@pytest.mark.parametrize("when", ["at the start", "in the middle"])
def test_a_database_that_is_locked_for_30_seconds_costs_nothing(
    when: str, start: Start, trials: Trials, store_in: StoreIn, tmp_path: Path, uninterrupted: Tables
) -> None:
    store = store_in(tmp_path / "runs")
    if when == "at the start":
        assert start("data=digits", "training.steps=1", f"runs_dir={store.path}").wait() == 0
    with ExitStack() as held:
        if when == "at the start":
            held.enter_context(_locked(store.path / "mlflow.db"))
        sweep = start(*trials, f"runs_dir={store.path}")
        if when == "in the middle":
            sweep.wait_until(lambda: store.finished() > 0)
            held.enter_context(_locked(store.path / "mlflow.db"))
        time.sleep(30)
        assert sweep.process.poll() is None, sweep.said
    assert sweep.wait() == 0, sweep.said
    assert store.tables() == uninterrupted
    assert set(store.runs()["FINISHED"].values()) == {1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory, with the options given."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode:
            pytest.skip("this account may not mount a file system")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_a_sweep_with_a_line_and_with_room_it_goes_on(
    start: Start, trials: Trials, store_in: StoreIn, small_disk: Callable[[str], Path], uninterrupted: Tables
) -> None:
    store = store_in(small_disk("size=24m") / "runs")
    sweep = start(*trials, f"runs_dir={store.path}")
    sweep.wait_until(lambda: store.finished() > 0)
    filler = store.path.parent / "filler"
    free = shutil.disk_usage(store.path).free
    with suppress(OSError), filler.open("wb") as file:  # another process may be quicker
        file.write(b"\0" * free)
    assert sweep.wait() in (1, 2), sweep.said
    assert "Traceback" not in sweep.said
    assert "No space left on device" in sweep.said.splitlines()[-1] or "kept in" in sweep.said.splitlines()[-1]
    filler.unlink()
    with closing(sqlite3.connect(store.path / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again = start(*trials, f"runs_dir={store.path}")
    assert again.wait() == 0, again.said
    assert store.tables() == uninterrupted
    assert set(store.runs()["FINISHED"].values()) == {1}


def test_a_folder_that_is_read_only_is_said_before_training(
    start: Start, trials: Trials, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("ro")
    sweep = start(*trials, f"runs_dir={disk / 'runs'}")
    assert sweep.wait() == 2, sweep.said
    assert "Traceback" not in sweep.said
    assert "Read-only file system" in sweep.said.splitlines()[-1]


def test_a_damaged_cache_of_images_is_built_again(
    start: Start, trials: Trials, store_in: StoreIn, tmp_path: Path, uninterrupted: Tables
) -> None:
    store = store_in(tmp_path / "runs")
    assert start("data=digits", "training.steps=1", f"runs_dir={store.path}").wait() == 0
    files = [file for file in (store.path / "cache").rglob("*") if file.is_file()]
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2 :] = b"\0" * (len(content) - len(content) // 2)
        file.write_bytes(content)
    sweep = start(*trials, f"runs_dir={store.path}")
    assert sweep.wait() == 0, sweep.said
    assert store.tables() == uninterrupted


def test_a_long_trial_that_is_killed_goes_on_from_its_checkpoint(
    start: Start, store_in: StoreIn, tmp_path: Path
) -> None:
    words = ("data=digits", "model=fc", "norm=batch", "training.steps=30000", "training.checkpoint_every=500")
    alone = store_in(tmp_path / "alone")
    assert start(*words, f"runs_dir={alone.path}").wait() == 0
    store = store_in(tmp_path / "runs")
    folder = store.path / "checkpoints"

    def newest() -> int:
        return max((file.stat().st_mtime_ns for file in folder.glob("*.checkpoint")), default=0)

    for _ in range(3):
        before = newest()
        sweep = start(*words, f"runs_dir={store.path}")
        sweep.wait_until(lambda before=before: newest() > before)  # type: ignore[misc]
        sweep.process.kill()
        sweep.wait()
    last = start(*words, f"runs_dir={store.path}")
    assert last.wait() == 0, last.said
    assert store.tables() == alone.tables()
    assert [*folder.iterdir()] == []


# A real server over a real PostgreSQL.


_OPEN = """
import sys
from pathlib import Path
from bnbench.config.workspace import Workspace
from bnbench.tracking.store import Store
print(Store.open(Workspace.at(Path(sys.argv[1]), sys.argv[2])).experiment_id)
"""


def test_processes_that_open_an_empty_postgresql_at_once_agree(postgresql: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OPEN, str(tmp_path), postgresql]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert answers == [("1\n", "")] * 3


def test_a_sweep_in_postgresql_is_the_same_and_moves_with_its_folder(
    postgresql: str, start: Start, trials: Trials, tmp_path: Path, uninterrupted: Tables
) -> None:
    runs_dir, moved = tmp_path / "runs", tmp_path / "moved"
    where = f"tracking.uri={postgresql}"
    sweep = start(*trials, where, f"runs_dir={runs_dir}")
    assert sweep.wait() == 0, sweep.said
    assert _tables(_report(sweep)) == uninterrupted
    runs_dir.rename(moved)
    for words in (["report"], [*trials, "seed=range(5)"], ["status"]):
        again = start(*words, where, f"runs_dir={moved}")
        assert again.wait() == 0, again.said
    assert not runs_dir.exists()
    assert "20        -        -        -" in again.said.splitlines()[-1]


def test_a_server_that_goes_away_and_comes_back_costs_nothing(
    postgresql: str, free_port: FreePort, start: Start, trials: Trials, tmp_path: Path, uninterrupted: Tables
) -> None:
    address = Address(postgresql, None, (tmp_path / "artifacts").as_uri())
    port, runs_dir = free_port(), tmp_path / "runs"
    uri = f"tracking.uri=http://127.0.0.1:{port}"
    down = start(*trials, uri, f"runs_dir={runs_dir}")
    assert down.wait() == 2
    assert re.fullmatch(
        r"tracking.uri=http://\S+ cannot be used \(Connection refused\); start .*", down.said.splitlines()[-1]
    )
    with running_server(address, host="127.0.0.1", port=port):
        sweep = start(*trials, uri, f"runs_dir={runs_dir}")
        sweep.wait_until(lambda: bool([*runs_dir.glob("trial-*/progress/*.json")]))
    sweep.wait_until(lambda: _waiting(runs_dir) >= 3)
    with running_server(address, host="127.0.0.1", port=port):
        assert sweep.wait() == 0, sweep.said
        assert _waiting(runs_dir) == 0
        assert _tables(_report(sweep)) == uninterrupted


def test_what_a_server_missed_is_delivered_by_sync(
    postgresql: str, free_port: FreePort, start: Start, trials: Trials, tmp_path: Path, uninterrupted: Tables
) -> None:
    address = Address(postgresql, None, (tmp_path / "artifacts").as_uri())
    port, runs_dir = free_port(), tmp_path / "runs"
    where = (f"tracking.uri=http://127.0.0.1:{port}", f"runs_dir={runs_dir}")
    with running_server(address, host="127.0.0.1", port=port):
        sweep = start(*trials, *where)
        sweep.wait_until(lambda: bool([*runs_dir.glob("trial-*/progress/*.json")]))
    assert sweep.wait() == 1, sweep.said
    said = sweep.said.splitlines()[-1]
    assert f"`python -m bnbench sync runs_dir={runs_dir} {where[0]}`, or the next start, delivers them" in said
    assert "Traceback" not in sweep.said
    with running_server(address, host="127.0.0.1", port=port):
        sync = start("sync", *where)
        assert sync.wait() == 0, sync.said
        assert _waiting(runs_dir) == 0
        report = start("report", *where)
        assert report.wait() == 0, report.said
    [folder] = runs_dir.glob("trial-*")
    assert _tables(folder) == uninterrupted


_PASSWORD = "correct horse battery staple"


@pytest.fixture
def guarded(free_port: FreePort, tmp_path: Path) -> Iterator[str]:
    """The address of a server that asks for a password, which its only account has."""
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("MLflow's own accounts are not installed (pip install 'mlflow[auth]')")
    folder, port = tmp_path / "guarded", free_port()
    folder.mkdir()
    (folder / "accounts.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{folder}/accounts.db\n"
        f"admin_username = ada\nadmin_password = {_PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    own = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "accounts.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def test_a_server_with_passwords_takes_mlflow_s_own_and_they_are_written_nowhere(
    guarded: str, start: Start, trials: Trials, tmp_path: Path, uninterrupted: Tables
) -> None:
    where = (f"tracking.uri={guarded}", f"runs_dir={tmp_path / 'runs'}")
    for account in ({}, {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "guessed"}):
        refused = start(*trials, *where, environment=account)
        assert refused.wait() == 2, refused.said
        assert "Traceback" not in refused.said
        assert re.fullmatch(r"tracking.uri=http://\S+ .*MLFLOW_TRACKING_USERNAME.*", refused.said.splitlines()[-1])
    sweep = start(
        *trials, *where, environment={"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": _PASSWORD}
    )
    assert sweep.wait() == 0, sweep.said
    assert _tables(_report(sweep)) == uninterrupted
    assert _PASSWORD not in sweep.said
    stored = [tmp_path / "guarded" / "mlflow.db", *(tmp_path / "guarded" / "artifacts").rglob("*")]
    written = [file for file in [*stored, *(tmp_path / "runs").rglob("*")] if file.is_file()]
    assert len(written) > 10
    assert not [file for file in written if _PASSWORD.encode() in file.read_bytes()]
