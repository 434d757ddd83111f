from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bnbench.config.store_address import Address
from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.mean_curves import STEP, ChartSection, MeanChart, Point, SweepCharts
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking import TrackingError, bulk, server
from bnbench.tracking.server import running_server, serve_ui
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]


def test_the_server_shows_the_page_and_records_and_reads_like_the_database(
    tmp_path: Path, make_result: Make, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Store.open(Workspace.at(tmp_path))
    results = [make_result(0), make_result(1), make_result(2, status="failed", metrics={}, curves={})]
    results[1].curves[names.GRADIENT_MAX] = [(0, 0.5), (20, 0.25)]  # what only some trials have
    monkeypatch.setattr(bulk, "_REST_POINTS", 8)  # an answer that was cut is asked for again, in parts
    port = free_port
    with running_server(here.address, host="127.0.0.1", port=port) as (page, process):
        with urllib.request.urlopen(page) as answer:
            assert b"<title>MLflow</title>" in answer.read()
        there = Store.open(Workspace.at(tmp_path, page, "remote"))
        meta = {"name": "a", "id": "1", "question": "?", "command": ["x"], "tuning_seeds": []}
        run_id = there.start_sweep(
            SweepRecord.from_json(meta), [PlannedTrial(result.key, result.params) for result in results]
        )
        there.record(results, run_id)
        remote, finished = there.load("latest"), there.finished()
        for mean in (1, 2, 2):
            lines = {"all": (Point(1, mean, mean, mean), Point(2, mean, mean, mean))}
            section = ChartSection("accuracy", (MeanChart("val accuracy", STEP, lines),))
            there.write_charts(remote, SweepCharts((section,), {"all": {"planned": 3}}, ""))
    assert process.poll() is not None
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", port)) != 0  # nothing listens there any more
    local = Store.open(Workspace.at(tmp_path, experiment="remote"))
    assert local.finished() == finished
    client = local._connection.client
    means = client.search_runs([local.experiment_id], f"tags.`{names.Tag.KIND}` = 'mean'")
    assert [run.data.metrics["val accuracy"] for run in means] == [2, 2, 2]
    assert finished.keys() == {result.key for result in results if result.status == "finished"}
    for result, (_, row) in zip(results, remote.trials.iterrows(), strict=True):
        assert row["status"] == result.status
        assert all(row[key] == value for key, value in result.metrics.items())
        for key, points in result.curves.items():
            rows = remote.curves[remote.curves["key"] == result.key].dropna(subset=key)
            assert list(zip(rows["step"].tolist(), rows[key].tolist(), strict=True)) == points


def test_a_taken_port_is_answered_in_one_line(runs_dir: Path, store: Store) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(TrackingError, match=rf"^port={port} on host=127.0.0.1 cannot be used .*another port$"):
            serve_ui(Workspace.at(runs_dir).address, "", port=port)


def test_a_page_over_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="nothing is recorded"):
        serve_ui(Workspace.at(tmp_path / "runs").address, "")
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_not_served_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve_ui(Workspace.at(tmp_path, "http://me:hunter22@somewhere:5000/").address, "#/experiments/1")
    assert capsys.readouterr().out == (
        "MLflow is served already: http://***@somewhere:5000\ncharts: http://***@somewhere:5000/#/experiments/1\n"
    )


def test_listening_beyond_this_machine_is_warned_of_with_what_to_do(
    store: Store, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []

    @contextmanager
    def interrupted(address: Address, **given: Any) -> Iterator[Any]:
        asked.append(given)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(server, "running_server", interrupted)
    serve_ui(Workspace.at(runs_dir).address, "", host="0.0.0.0", allowed_hosts="a.org:5000")
    assert "--allowed-hosts" in (warning := capsys.readouterr().err)
    assert "ssh -L 5000:127.0.0.1:5000" in warning
    assert asked == [{"host": "0.0.0.0", "port": 5000, "allowed_hosts": "a.org:5000"}]
    serve_ui(Workspace.at(runs_dir).address, "")
    assert capsys.readouterr().err == ""


def test_an_address_of_a_database_keeps_its_password_off_the_page(tmp_path: Path) -> None:
    address = Address.resolve("postgresql+psycopg://me:se:cret@host:5432/db", tmp_path)
    assert address.shown == "postgresql+psycopg://me:***@host:5432/db"


def test_names_that_others_may_use_are_allowed_beside_this_machine_s_own(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_STATIC_PREFIX", "/of/bnbench")
    address = Store.open(Workspace.at(tmp_path)).address
    with running_server(address, host="127.0.0.1", port=free_port, allowed_hosts="a.org:5000") as (page, _):
        assert page == f"http://127.0.0.1:{free_port}/of/bnbench"
        for host in ("a.org:5000", f"127.0.0.1:{free_port}", f"localhost:{free_port}", f"[::1]:{free_port}"):
            with urllib.request.urlopen(urllib.request.Request(f"{page}/", headers={"Host": host})) as answer:
                assert b"<title>MLflow</title>" in answer.read()
        there = Store.open(Workspace.at(tmp_path, page), create=False)
        assert there.experiment_id == Store.open(Workspace.at(tmp_path)).experiment_id
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(f"{page}/", headers={"Host": "b.org:5000"}))


def test_a_server_that_does_not_answer_to_a_name_is_no_matter_of_passwords(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Store.open(Workspace.at(tmp_path)).address
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **how: resolve(host.replace("a.org", "127.0.0.1"), *more, **how)
    )
    with running_server(address, host="127.0.0.1", port=free_port):
        with pytest.raises(TrackingError, match=r"Invalid Host header.*--allowed-hosts") as caught:
            Store.open(Workspace.at(tmp_path, f"http://a.org:{free_port}"))
        assert "PASSWORD" not in str(caught.value)
