"""Sweeps in processes of their own, to be killed."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

# Enough packs that a worker is always at one, and long enough to be met in the middle.
TRIALS = (
    "data=digits",
    "model=fc",
    "norm=none,batch",
    "optimizer.lr=0.05,0.1",
    "seed=range(4)",
    "training.max_pack=2",
    "training.steps=600",
)
LAUNCHERS = {
    "joblib": ("hydra.launcher.n_jobs=2",),
    "processes": ("hydra/launcher=processes", "hydra.launcher.workers=2"),
    "ray": ("hydra/launcher=ray", "hydra.launcher.address=local", "hydra.launcher.workers=2"),
}
_WORKERS = (b"popen_loky", b"bnbench.sweep.remote")


class Running:
    """A command that runs; it and all it starts are a session of their own."""

    def __init__(
        self, folder: Path, *words: str, environment: dict[str, str] | None = None, around: Sequence[str] = ()
    ) -> None:
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*around, sys.executable, "-m", "bnbench", *words],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
                preexec_fn=_hear_interrupts,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait(self, seconds: float = 300) -> int:
        """The exit status."""
        return self.process.wait(seconds)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def others(self) -> list[int]:
        """The processes of the session besides the sweeping one that are not dead."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != self.process.pid:
                try:
                    state, _, _, session, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(session) == self.process.pid and state not in "ZX":
                    found.append(int(entry.name))
        return found

    def trainers(self) -> list[int]:
        """Those of them that train: workers, and the processes they train in."""
        return [pid for pid in self.others() if any(name in _command(pid) for name in _WORKERS)]

    def end(self) -> None:
        for pid in [self.process.pid, *self.others()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore them


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m bnbench WORD …` in a folder of its own; what still runs at the end is killed.

    Given as `around`, a command runs that one.
    """
    running: list[Running] = []

    def begin(*words: str, environment: dict[str, str] | None = None, around: Sequence[str] = ()) -> Running:
        folder = tmp_path / f"home{len(running)}"
        folder.mkdir()
        running.append(Running(folder, *words, environment=environment, around=around))
        return running[-1]

    yield begin
    for one in running:
        one.end()


class Store:
    """What a sweep has left under its `runs_dir`, read without bnbench.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def tables(self) -> tuple[bytes, bytes]:
        """The newest sweep's data, byte for byte."""
        folder = self.path / "latest"
        return (folder / "trials.csv").read_bytes(), (folder / "curves.csv").read_bytes()

    def runs(self) -> dict[str, dict[str, int]]:
        """How many runs each trial has, by the runs' status."""
        found: dict[str, dict[str, int]] = {}
        for status, key, number in self._ask(
            "SELECT runs.status, tags.value, COUNT(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
            "WHERE tags.key = 'bnbench.key' GROUP BY runs.status, tags.value"
        ):
            found.setdefault(status, {})[key] = number
        return found

    def finished(self) -> int:
        """How many trials have a result."""
        return len(self.runs().get("FINISHED", {}))

    def sweeps(self) -> list[str]:
        """The status of each sweep's run, oldest first."""
        rows = self._ask(
            "SELECT runs.status FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
            "WHERE tags.key = 'bnbench.kind' AND tags.value = 'sweep' ORDER BY runs.start_time"
        )
        return [status for (status,) in rows]

    def check_whole(self, uninterrupted: tuple[bytes, bytes]) -> None:
        """Nothing is lost, nothing counts twice, and the tables are those of a sweep that nothing happened to."""
        assert self.tables() == uninterrupted
        assert set(self.runs()["FINISHED"].values()) == {1}
        *killed, last = self.sweeps()
        assert last == "FINISHED"
        assert "RUNNING" not in killed
        assert not [*(self.path / "spool").glob("*/*.jsonl*")]

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        database = self.path / "mlflow.db"
        if not database.exists():
            return []
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError as error:  # killed before its tables were made
                if "no such table" in str(error):
                    return []
                raise


@pytest.fixture(scope="session")
def store_in() -> type[Store]:
    """The store under a `runs_dir`."""
    return Store


@pytest.fixture(
    params=[name if name == "joblib" else pytest.param(name, marks=pytest.mark.faults) for name in LAUNCHERS]
)
def launcher(request: pytest.FixtureRequest) -> str:
    """What trains packs."""
    if request.param == "ray":
        pytest.importorskip("ray")
    return str(request.param)


@pytest.fixture(scope="session")
def trials() -> tuple[str, ...]:
    """Sixteen trials, ten seconds or so."""
    return *TRIALS, *LAUNCHERS["joblib"]


@pytest.fixture
def trials_anywhere(launcher: str) -> tuple[str, ...]:
    """Those trials, on any launcher."""
    return *TRIALS, *LAUNCHERS[launcher]


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The data of `TRIALS` where nothing goes wrong."""
    home = tmp_path_factory.mktemp("uninterrupted")
    sweep = Running(home, *TRIALS, *LAUNCHERS["joblib"], "runs_dir=runs")
    assert sweep.wait() == 0, sweep.said
    return Store(home / "runs").tables()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives a port of this machine on which nothing listens."""

    def find() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return find


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/nowhere")]
    if not found[-1].exists():
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("its Python driver is not installed (pip install '.[postgresql]')")
    return found[-1].parent


@pytest.fixture
def postgresql(free_port: Callable[[], int]) -> Iterator[str]:
    """The address of an empty database; PostgreSQL refuses to run as root."""
    programs, port = _programs(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not pytest's, where other accounts cannot look
    become = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    if become:
        shutil.chown(folder, "postgres")

    def call(program: str, *options: str) -> None:
        subprocess.run([*become, programs / program, *options], check=True, capture_output=True, cwd=folder)

    call("initdb", "-D", f"{folder}/data", "-U", "me", "--auth=trust", "-N")
    listen = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    call("pg_ctl", "-D", f"{folder}/data", "-o", listen, "-l", f"{folder}/log", "-w", "start")
    try:
        call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "me", "bnbench")
        yield f"postgresql://me@127.0.0.1:{port}/bnbench"
    finally:
        call("pg_ctl", "-D", f"{folder}/data", "-m", "fast", "-t", "120", "-w", "stop")
        shutil.rmtree(folder)
