from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException

from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking import TrackingError, process_identity, write_runs
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]
Start = Callable[..., str]


def _runs(store: Store, filter_string: str = "") -> list[Run]:
    connection = store._connection
    return list(connection.client.search_runs([connection.experiment_id], filter_string=filter_string))


def test_a_recorded_trial_is_a_finished_run_under_its_sweep(store: Store, make_result: Make, start: Start) -> None:
    result = make_result(3)
    sweep_run_id = start([result])
    store.record([result], sweep_run_id)
    (run,) = _runs(store, f"tags.`{names.Tag.KIND}` = 'trial'")
    assert store.finished() == {result.key: run.info.run_id}
    assert run.info.run_name == "fc batch before lr=0.1 batch_size=60 seed=3"
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (10**12, 10**12 + 10_000)
    assert run.data.tags["mlflow.parentRunId"] == sweep_run_id
    assert run.data.tags[names.Tag.STATUS] == "finished"
    assert run.data.tags[names.Tag.PACK] == "p"
    assert run.data.tags[names.Tag.DATA_CHECKSUM] == "ab" * 32
    assert run.data.params == {key: str(value) for key, value in result.params.items()}
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("mnist_5k", "ab" * 18)


def test_a_trial_says_where_it_comes_from(store: Store, make_result: Make, start: Start) -> None:
    result = make_result(0)
    meta = {
        "name": "placement",
        "id": "0a1b",
        "question": "?",
        "command": ["python", "-m", "bnbench", "tracking.uri=postgresql://me:hunter22@host/db"],
        "tuning_seeds": [],
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "hardware": {"cpu": "EPYC"},
        "git": {"commit": "c" * 40, "dirty": True, "branch": "main"},
    }
    plan = [PlannedTrial(result.key, result.params, arm="before  lr=0.1")]
    store.record([result], store.start_sweep(SweepRecord.from_json(meta), plan))
    (run,) = _runs(store, f"tags.`{names.Tag.KIND}` = 'trial'")
    wanted = {
        names.Tag.SWEEP: "placement",
        names.Tag.SWEEP_ID: "0a1b",
        names.Tag.SWEEPS: "0a1b",
        names.Tag.ARM: "before  lr=0.1",
        names.Tag.NORM: "batch before",
        names.Tag.COMMAND: "python -m bnbench 'tracking.uri=postgresql://me:***@host/db'",
        names.Tag.VERSIONS: "python=3.11.7 torch=2.13.0",
        names.Tag.CPU: "EPYC",
        "mlflow.source.git.commit": "c" * 40,
        "mlflow.source.git.dirty": "True",
        "mlflow.source.git.branch": "main",
    }
    assert {tag: run.data.tags.get(tag) for tag in wanted} == wanted


def test_a_trial_of_a_sweep_that_another_process_started_says_so_too(
    store: Store, runs_dir: Path, make_result: Make, start: Start, request: pytest.FixtureRequest
) -> None:
    result = make_result(0, tags={names.Tag.PARENT: start([make_result(0)])})
    Store.open(Workspace.at(runs_dir, experiment=request.node.nodeid)).record([result])
    (run,) = _runs(store, f"tags.`{names.Tag.KIND}` = 'trial'")
    assert run.data.tags[names.Tag.SWEEP] == "placement"


def test_a_trial_of_a_sweep_that_is_gone_is_recorded_all_the_same(store: Store, make_result: Make) -> None:
    store.record([make_result(0, tags={names.Tag.PARENT: "0" * 32})])
    (run,) = _runs(store)
    assert run.data.tags["mlflow.parentRunId"] == "0" * 32


@pytest.mark.parametrize("way", ["store", "by_calls"])
def test_a_trial_is_found_by_every_sweep_that_lists_it(way: str, request: pytest.FixtureRequest) -> None:
    store, make_result, start = (request.getfixturevalue(name) for name in (way, "make_result", "start"))
    result, other = make_result(0), make_result(1)
    store.record([result, other], start([result, other], id="0a1b"))
    meta = {"name": "b", "id": "2c3d", "question": "?", "command": ["x"], "tuning_seeds": []}
    store.start_sweep(SweepRecord.from_json(meta), [PlannedTrial(result.key, result.params, reused=True)])
    found = {
        sweep: [run.data.params["seed"] for run in _runs(store, f"tags.`{names.Tag.SWEEPS}` LIKE '%{sweep}%'")]
        for sweep in ("0a1b", "2c3d")
    }
    assert {sweep: sorted(seeds) for sweep, seeds in found.items()} == {"0a1b": ["0", "1"], "2c3d": ["0"]}


def test_a_store_that_refuses_for_two_note_the_same_trials_at_once_is_asked_again(
    store: Store, start: Start, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(0)
    store.record([result], start([result]))
    note, asked = write_runs._note_sweeps, []

    def refused_at_first(*given: Any) -> None:
        asked.append(given)
        if len(asked) == 1:
            raise MlflowException("duplicate key value violates unique constraint")
        note(*given)

    monkeypatch.setattr(write_runs, "_note_sweeps", refused_at_first)
    write_runs.add_to_sweep(store._connection, {result.key}, "ffff")
    [run] = _runs(store, f"tags.`{names.Tag.SWEEPS}` LIKE '%ffff%'")
    assert run.data.tags[names.Tag.SWEEPS] == "0a1b ffff"


def test_secrets_stay_out_of_a_sweep_and_of_a_failed_trial(
    store: Store, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter22")
    meta = {
        "name": "a",
        "id": "1",
        "question": "?",
        "command": ["python", "-m", "bnbench", "tracking.uri=mysql://me:hunter22@host/db"],
        "config": {"tracking": {"uri": "mysql://me:hunter22@host/db"}, "training": {"targets": [0.9]}},
        "tuning_seeds": [],
    }
    result = make_result(0, status="failed", reason="Traceback\n  connect('hunter22')\nOSError: hunter22", metrics={})
    run_id = store.start_sweep(SweepRecord.from_json(meta), [PlannedTrial(result.key, result.params)])
    store.record([result], run_id)
    assert store.load("latest").record.asked.config["tracking"]["uri"] == "mysql://me:***@host/db"
    client = store._connection.client
    for run in _runs(store):
        assert "hunter22" not in str(run.to_dictionary())
        for file in client.list_artifacts(run.info.run_id):
            path = client.download_artifacts(run.info.run_id, file.path)
            assert "hunter22" not in Path(path).read_text()


def test_the_times_of_a_curve_run_from_the_start_to_the_end_of_the_training(store: Store, make_result: Make) -> None:
    result = make_result(0)
    store.record([result], None)
    history = store._connection.client.get_metric_history(store.finished()[result.key], names.VAL_ACC)
    times = [(point.step, point.timestamp - 10**12) for point in history]
    assert times == [(step, step * 500) for step, _ in result.curves[names.VAL_ACC]]


def test_a_trial_delivered_twice_is_recorded_once_unless_it_replaces(store: Store, make_result: Make) -> None:
    result = make_result(0)
    store.record([result, result], None)
    store.record([result], None)
    assert len(_runs(store)) == 1
    anew = make_result(0, started=2e9, ended=2e9, tags={names.Tag.ANEW: "true"})
    store.record([anew], None)
    store.record([anew], None)  # which may be delivered twice too
    assert len(_runs(store)) == 2


def test_another_store_on_the_same_database_records_nothing_twice(
    store: Store, runs_dir: Path, make_result: Make, request: pytest.FixtureRequest
) -> None:
    store.record([make_result(0)], None)
    other = Store.open(Workspace.at(runs_dir, experiment=request.node.nodeid))
    other.record([make_result(0)], None)
    assert len(_runs(store)) == 1


@pytest.mark.parametrize(("status", "counts"), [("diverged", True), ("undefined", True), ("failed", False)])
def test_failed_trials_are_tried_again_and_no_others(
    store: Store, make_result: Make, status: str, counts: bool
) -> None:
    result = make_result(0, status=status, reason="why", metrics={}, curves={})
    store.record([result], None)
    (run,) = _runs(store)
    assert run.info.status == ("FINISHED" if counts else "FAILED")
    assert run.data.tags[names.Tag.REASON] == "why"
    assert (result.key in store.finished()) == counts


def test_a_traceback_is_kept_whole_and_of_one_too_long_for_a_tag_its_end_in_the_tag(
    store: Store, make_result: Make, tmp_path: Path
) -> None:
    reason = "line\n" * 4000 + "OSError: no disk"
    store.record([make_result(0, status="failed", reason=reason)], None)
    (run,) = _runs(store)
    assert len(run.data.tags[names.Tag.REASON]) == 8000
    assert run.data.tags[names.Tag.REASON].endswith("line\nOSError: no disk")
    assert "**failed**: OSError: no disk" in run.data.tags["mlflow.note.content"]
    client = store._connection.client
    assert Path(client.download_artifacts(run.info.run_id, "traceback.txt", str(tmp_path))).read_text() == reason


@pytest.fixture
def by_calls(store: Store) -> Store:
    """The same store, written call by call as a server is."""
    return Store(store.workspace, replace(store._connection, store=object()))  # type: ignore[arg-type]


def _written(store: Store, results: list[TrialResult]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What MLflow's client says of the runs of these results, but for their ids; they are deleted afterwards."""
    client = store._connection.client
    store.finished()  # read again: it deletes below
    store.record(results)
    found = []
    for run in sorted(_runs(store), key=lambda run: str(run.info.run_name)):
        run_id = run.info.run_id
        points = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
        history = {key: sorted((m.step, m.timestamp, m.value) for m in values) for key, values in points.items()}
        found.append((json.loads(json.dumps(run.to_dictionary()).replace(run_id, "RUN")), history))
        client.delete_run(run_id)
    return found


def test_rows_written_at_once_are_those_of_the_client(store: Store, by_calls: Store, make_result: Make) -> None:
    results = [make_result(0), make_result(1, status="failed", reason="why", metrics={}, curves={}, data={})]
    at_once = _written(store, results)
    assert [run["info"]["status"] for run, _ in at_once] == ["FINISHED", "FAILED"]
    assert at_once == _written(by_calls, results)


def test_a_half_written_run_on_a_server_does_not_count_and_is_written_again(
    by_calls: Store, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = by_calls._connection.client
    log_inputs = client.log_inputs
    pack = [make_result(0), make_result(1)]

    def die_at_the_second(run_id: str, **inputs: Any) -> None:
        if client.get_run(run_id).data.params["seed"] == "1":
            raise OSError("killed here")
        log_inputs(run_id, **inputs)

    monkeypatch.setattr(client, "log_inputs", die_at_the_second)
    with pytest.raises(TrackingError, match="killed here"):
        by_calls.record(pack, None)
    monkeypatch.undo()
    assert sorted(run.info.status for run in _runs(by_calls)) == ["FINISHED", "RUNNING"]
    assert by_calls.finished().keys() == {pack[0].key}
    by_calls.record(pack, None)
    assert by_calls.finished().keys() == {pack[0].key, pack[1].key}
    assert len(_runs(by_calls, "attributes.status = 'FINISHED'")) == 2


def test_a_pack_that_broke_off_on_a_server_is_delivered_again_without_its_first_trial(
    by_calls: Store, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = [make_result(0), make_result(1)]
    client = by_calls._connection.client
    create_run, calls = client.create_run, []

    def die_at_the_second(*given: Any, **more: Any) -> Run:
        calls.append(given)
        if len(calls) == 2:
            raise OSError("killed here")
        return create_run(*given, **more)

    monkeypatch.setattr(client, "create_run", die_at_the_second)
    with pytest.raises(TrackingError, match="killed here"):
        by_calls.record(pack, None)
    by_calls.record(pack, None)
    assert len(_runs(by_calls)) == 2


def test_a_pack_is_in_the_database_whole_or_not_at_all(
    store: Store, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = [make_result(0), make_result(1)]
    latest, calls = write_runs._latest, []

    def die_at_the_second(metrics: Sequence[Metric]) -> list[Metric]:
        calls.append(metrics)
        # A value's row that breaks the table's key: the database refuses it after the pack's other rows.
        return latest(metrics) * len(calls)

    monkeypatch.setattr(write_runs, "_latest", die_at_the_second)
    with pytest.raises(TrackingError, match="UNIQUE"):
        store.record(pack, None)
    assert _runs(store) == []
    monkeypatch.undo()
    store.record(pack, None)
    assert store.finished().keys() == {pack[0].key, pack[1].key}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_and_leaves_no_run(
    store: Store, make_result: Make, value: float
) -> None:
    with pytest.raises(ValueError, match=r"test/acc=\w+; only finite"):
        store.record([make_result(0, metrics={names.TEST_ACC: value})], None)
    with pytest.raises(ValueError, match=r"val/acc=\w+; only finite"):
        store.record([make_result(0, curves={names.VAL_ACC: [(0, value)]})], None)
    assert _runs(store) == []


def test_a_final_metric_with_the_name_of_a_curve_is_refused(store: Store, make_result: Make) -> None:
    with pytest.raises(ValueError, match="val/acc in the wrong place"):
        store.record([make_result(0, metrics={names.VAL_ACC: 0.5})], None)
    with pytest.raises(ValueError, match="gradient/max in the wrong place; it is a curve"):
        store.record([make_result(0, metrics={names.GRADIENT_MAX: 0.5})], None)
    with pytest.raises(ValueError, match="test/acc in the wrong place; it is a final metric"):
        store.record([make_result(0, curves={names.TEST_ACC: [(0, 0.5)]})], None)


def test_more_points_than_one_request_takes_are_all_recorded(store: Store, make_result: Make) -> None:
    points = [(step, step / 7) for step in range(2600)]
    result = make_result(0, curves={names.VAL_ACC: points})
    store.record([result], None)
    history = store._connection.client.get_metric_history(store.finished()[result.key], names.VAL_ACC)
    assert sorted((point.step, point.value) for point in history) == points


def test_runs_of_a_killed_process_are_closed_when_the_next_sweep_starts(
    store: Store, make_result: Make, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_identity, "_start", lambda pid: "12")  # of an earlier process with the same id
    killed = start([], id="1")
    monkeypatch.undo()
    alive = start([], id="2")
    start([], id="3")
    status = {run.info.run_id: run.info.status for run in _runs(store)}
    assert (status[alive], status[killed]) == ("RUNNING", "KILLED")


def test_a_finished_sweep_keeps_its_report_and_its_numbers(store: Store, start: Start, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.svg").write_text("<svg/>")
    (tmp_path / "report.md").write_text("# Before or after?")
    run_id = start([])
    store.finish_sweep(
        run_id,
        status="FINISHED",
        metrics={"trials/finished": 3.0},
        artifacts=[tmp_path / "report.md", tmp_path / "figures"],
        note="**before** wins",
    )
    (run,) = _runs(store)
    client = store._connection.client
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"trials/finished": 3.0}
    assert run.data.tags["mlflow.note.content"] == "**before** wins"
    assert run.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert [file.path for file in client.list_artifacts(run_id)] == ["figures", "report.md", "sweep.json"]
    assert [file.path for file in client.list_artifacts(run_id, "figures")] == ["figures/a.svg"]


def test_a_sweep_that_is_finished_again_keeps_its_end_and_gains_its_report(
    store: Store, start: Start, tmp_path: Path
) -> None:
    run_id = start([])
    (tmp_path / "report.md").write_text("#")
    store.finish_sweep(run_id, status="FINISHED", metrics={"a": 1.0}, artifacts=[], note="")
    (before,) = _runs(store)
    time.sleep(0.002)
    store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[tmp_path / "report.md"], note="b")
    (after,) = _runs(store)
    assert after.info.end_time == before.info.end_time
    assert after.data.metrics == {"a": 1.0}
    assert after.data.tags["mlflow.note.content"] == "b"


def test_a_plan_that_lists_a_trial_twice_is_refused(make_result: Make, start: Start) -> None:
    with pytest.raises(ValueError, match="lists 1 of its trials twice"):
        start([make_result(0), make_result(0)])
