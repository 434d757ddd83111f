from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from bnbench import names
from bnbench.results import TrialResult
from bnbench.tracking import views
from bnbench.tracking.store import Store
from bnbench.tracking.view_state import TAG, View

Start = Callable[..., str]

_META = {
    "name": "batch size+placement",
    "id": "0a1b2c3d",
    "compare": ["norm", "norm.placement"],
    "arm_keys": ["model", "norm", "norm.placement", "optimizer.lr", "training.batch_size"],
    "tuning_seeds": [100],
    "config": {"training": {"targets": None}, "data": {"targets": {"fc": [0.9], "cnn": [0.8, 0.9], "unused": [0.99]}}},
}


def _trials(steps: Callable[[int], int]) -> list[dict[str, Any]]:
    return [
        {"model": model, "norm": "none", "optimizer.lr": lr, "training.batch_size": size, "training.steps": steps(size)}
        for model in ("fc", "cnn")
        for lr in (0.1, 1.0)
        for size in (8, 64)
    ]


def _state(view: View) -> dict[str, Any]:
    key, value = view.tag(1)
    assert key.startswith(TAG)
    assert len(value) <= 20_000
    envelope = json.loads(value)
    assert envelope["name"] == view.name
    header, _, packed = envelope["state"].partition(";")
    assert header == "deflate"
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def _by_kind(found: list[View]) -> dict[str, dict[str, Any]]:
    return {view.id.rpartition("-")[2]: _state(view) for view in found}


def _groups(state: dict[str, Any]) -> list[str]:
    return [group["groupByData"] for group in state["groupBy"]["groupByKeys"]]


def test_curves_are_averaged_over_what_leaves_their_steps_equal() -> None:
    alike = _by_kind(views.sweep_views(_META, _trials(lambda size: 600)))["convergence"]
    assert _groups(alike) == [names.Tag.NORM, "model"]
    assert alike["compareRunSections"][0]["name"] == "Convergence: mean over seeds, optimizer.lr, training.batch_size"
    unlike = _by_kind(views.sweep_views(_META, _trials(lambda size: 6400 // size)))["convergence"]
    assert _groups(unlike) == [names.Tag.NORM, "model", "training.batch_size"]


def test_an_arms_accuracy_is_shown_and_over_every_number_that_varies() -> None:
    state = _by_kind(views.sweep_views(_META, _trials(lambda size: 600)))["settings"]
    assert _groups(state) == [names.Tag.NORM, "model", "optimizer.lr", "training.batch_size"]
    bars, *points = state["compareRunCharts"]
    assert (bars["type"], bars["metricKey"]) == ("BAR", names.TEST_ACC)
    assert [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in points] == [
        ("optimizer.lr", names.TEST_ACC),
        ("training.batch_size", names.TEST_ACC),
    ]
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections


def test_a_view_shows_the_reported_trials_of_its_sweep_and_no_others() -> None:
    state = _by_kind(views.sweep_views(_META, _trials(lambda size: 600)))["trials"]
    assert state["searchFilter"] == f"tags.`{names.Tag.SWEEPS}` LIKE '%0a1b2c3d%' AND params.`seed` != '100'"
    assert state["groupBy"] is None
    columns = {*state["selectedColumns"]}
    assert {f"metrics.`{names.TEST_ACC}`", f"metrics.`{names.steps_to(0.9)}`", "params.`optimizer.lr`"} <= columns
    assert f"metrics.`{names.steps_to(0.8)}`" not in columns  # not the highest of any model


def test_a_filter_is_one_that_mlflow_understands(store: Store, make_result: Callable[..., TrialResult]) -> None:
    results = [make_result(seed, tags={names.Tag.SWEEPS: "ffff 0a1b2c3d"}) for seed in (0, 100)]
    store.record([*results, make_result(1)], None)
    connection = store._connection
    view = views.sweep_views(_META, [])[0]
    found = connection.client.search_runs(
        [connection.experiment_id], view.filter, order_by=[f"metrics.`{view.order}` DESC"]
    )
    assert [run.data.params["seed"] for run in found] == ["0"]


def test_an_address_names_a_view_that_the_experiment_has(store: Store, start: Start) -> None:
    start([], name="batch size+placement")
    tags = store._connection.client.get_experiment(store.experiment_id).tags
    ids = {key.removeprefix(TAG) for key in tags if key.startswith(TAG)}
    assert len(ids) == 6
    view = views.view_id("batch size+placement", "convergence")
    assert view in ids
    assert store.charts() == (
        f"#/experiments/{store.experiment_id}/runs?viewStateShareKey=bnbench-batch-size-placement-convergence"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )
    for address in (store.charts(), *re.findall(r"\]\((.*?)\)", views.links(store.load("latest").meta))):
        assert re.search(r"artifacts/report\.html\?|viewStateShareKey=(" + "|".join(ids) + ")&", address)
    assert "bnbench" in tags["mlflow.note.content"]


def test_a_description_that_somebody_wrote_stays(store: Store, start: Start) -> None:
    client = store._connection.client
    client.set_experiment_tag(store.experiment_id, "mlflow.note.content", "mine")
    start([])
    assert client.get_experiment(store.experiment_id).tags["mlflow.note.content"] == "mine"


def test_a_store_that_takes_no_view_still_takes_the_sweep(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise MlflowException("too long")

    monkeypatch.setattr(store._connection.client, "set_experiment_tag", refuse)
    start([])
    assert len(store.sweeps()) == 1


@pytest.mark.parametrize(("version", "has"), [("3.14.2", False), ("3.15.0", True), ("3.17.2", True), ("4.0.0", False)])
def test_only_versions_that_have_views_get_them(
    version: str, has: bool, store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views.mlflow, "__version__", version)
    start([])
    tags = store._connection.client.get_experiment(store.experiment_id).tags
    assert any(key.startswith(TAG) for key in tags) == has


def test_the_charts_of_an_older_sweep_are_written_again_when_they_are_asked_for(store: Store, start: Start) -> None:
    start([], id="0001")
    start([], id="0002")

    def shown() -> str:
        tags = store._connection.client.get_experiment(store.experiment_id).tags
        return str(json.loads(tags[TAG + views.view_id("placement", "trials")])["name"])

    assert shown() == "placement (0002): trials"
    store.charts("placement-0001")
    assert shown() == "placement (0001): trials"
