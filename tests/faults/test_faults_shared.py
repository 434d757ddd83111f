"""The same sweep on two hosts and one tracking store: each trial is trained once, and by the other if one dies."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from bnbench.config.store_address import Address
from bnbench.tracking.server import running_server

if TYPE_CHECKING:
    from conftest import Running, Start

Trials = tuple[str, ...]
FreePort = Callable[[], int]

_FEW = ("data=digits", "model=fc", "norm=none,batch", "seed=range(3)", "training.max_pack=2", "training.steps=300")
_LEFT = "left to trial-"
_HOST = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c")


def _host(name: str) -> tuple[str, ...]:
    """What runs a command as on a host of its own: with a name and a table of processes that no other has."""
    if os.getuid() != 0 or subprocess.run([*_HOST, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this account may not make a namespace, in which a host is played")
    return (*_HOST, f'hostname {name} && exec "$@"', name)


@pytest.fixture
def server(free_port: FreePort, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server over an SQLite database."""
    folder = tmp_path / "server"
    folder.mkdir()
    database = folder / "mlflow.db"
    database.touch()
    address = Address(f"sqlite:///{database}", database, (folder / "artifacts").as_uri())
    with running_server(address, host="127.0.0.1", port=free_port()) as (page, _):
        yield page


def _runs(uri: str) -> Counter[tuple[str, str]]:
    """How many runs each trial has, by their status and the trial's key."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bnbench")
    if experiment is None:
        return Counter()
    runs = client.search_runs([experiment.experiment_id], "tags.`bnbench.kind` = 'trial'", max_results=1000)
    return Counter((run.info.status, run.data.tags["bnbench.key"]) for run in runs)


def _table(sweep: Running, name: str) -> bytes:
    return (sweep.log.parent / "runs/latest" / name).read_bytes()


def test_the_same_sweep_twice_at_once_on_a_server_trains_each_trial_once(server: str, start: Start) -> None:
    sweeps = [start(*_FEW, "hydra.launcher.n_jobs=1", f"tracking.uri={server}") for _ in range(2)]
    for sweep in sweeps:
        assert sweep.wait() == 0, sweep.said
    assert [*_runs(server).values()] == [1] * 6
    assert {status for status, _ in _runs(server)} == {"FINISHED"}
    for name in ("trials.csv", "curves.csv"):
        assert _table(sweeps[0], name) == _table(sweeps[1], name)
    assert sum(_LEFT in sweep.said for sweep in sweeps) == 1  # or the two did not meet


@pytest.mark.faults
@pytest.mark.parametrize("store", ["server", "postgresql"])
@pytest.mark.parametrize("hosts", [(), ("alpha", "beta")], ids=["same host", "two hosts"])
def test_a_sweep_takes_over_what_one_that_is_killed_leaves(
    hosts: tuple[str, ...],
    store: str,
    start: Start,
    trials: Trials,
    uninterrupted: tuple[bytes, bytes],
    request: pytest.FixtureRequest,
) -> None:
    uri = request.getfixturevalue(store)
    words = (*trials, f"tracking.uri={uri}")
    sweeps = [start(*words, around=around) for around in (map(_host, hosts) if hosts else [(), ()])]
    sweeps[0].wait_until(lambda: any(_LEFT in sweep.said for sweep in sweeps))
    trains, waits = sorted(sweeps, key=lambda sweep: _LEFT in sweep.said)
    trains.wait_until(lambda: bool(_runs(uri)))
    trains.end()
    assert 0 < len(_runs(uri)) < 16
    assert waits.wait() == 0, waits.said
    assert "this one goes on with them" in waits.said
    runs = _runs(uri)
    assert [number for (status, _), number in runs.items() if status == "FINISHED"] == [1] * 16
    assert "RUNNING" not in {status for status, _ in runs}  # one may have been in the midst of being recorded
    assert (_table(waits, "trials.csv"), _table(waits, "curves.csv")) == uninterrupted
    again = start(*words, f"runs_dir={trains.log.parent / 'runs'}")
    assert again.wait() == 0, again.said
    assert "16 finished before" in again.said
    assert (_table(trains, "trials.csv"), _table(trains, "curves.csv")) == uninterrupted
    client = MlflowClient(uri)
    ends = client.search_runs(["1"], "tags.`bnbench.kind` = 'sweep'")
    assert sorted(run.info.status for run in ends) == ["FINISHED", "FINISHED", "KILLED"]
