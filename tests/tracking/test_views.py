from __future__ import annotations

import base64
import json
import random
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from bnbench.record import names
from bnbench.record.mean_curves import STEP, ChartSection, MeanChart, Point, SweepCharts
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, Place, SweepRecord
from bnbench.tracking import views
from bnbench.tracking.store import Store
from bnbench.tracking.view_state import TAG, View

Make = Callable[..., TrialResult]
Start = Callable[..., str]

_RECORD = SweepRecord(
    Asked(
        "batch size+placement",
        "0a1b2c3d",
        compare=["norm", "norm.placement"],
        arm_keys=["model", "norm", "norm.placement", "optimizer.lr", "training.batch_size"],
        tuning_seeds=[100],
        config={"training": {"targets": None}, "data": {"targets": {"fc": [0.9], "cnn": [0.8, 0.9], "unused": [0.99]}}},
    ),
    place=Place(run_id="0f"),
)


_LINES = {"none": (Point(1, 2, 1, 3), Point(2, 3, 2, 4))}
_CHARTS = SweepCharts(
    sections=(
        ChartSection("fc: losses", (MeanChart("fc lr 0.1 train loss", STEP, _LINES, log=True),), folded=True),
        ChartSection(
            "fc: more",
            (
                MeanChart("fc test accuracy", "log10 lr - fc test accuracy", _LINES),
                MeanChart("fc test accuracy at own lr", None, _LINES),
            ),
        ),
    ),
    counts={"none": {"planned": 10}},
    note="",
)


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


def test_a_table_shows_the_reported_trials_of_its_sweep_and_no_others() -> None:
    every, state = map(_state, views.trial_views(_RECORD, {"fc", "cnn"}))
    assert every["searchFilter"] == f"tags.`{names.Tag.KIND}` = 'trial'"
    assert state["searchFilter"] == (
        f"tags.`{names.Tag.KIND}` = 'trial' AND tags.`{names.Tag.SWEEPS}` LIKE '%0a1b2c3d%' AND params.`seed` != '100'"
    )
    assert state["groupBy"] is None
    columns = {*state["selectedColumns"]}
    assert {f"metrics.`{names.TEST_ACC}`", f"metrics.`{names.steps_to(0.9)}`", "params.`optimizer.lr`"} <= columns
    assert f"metrics.`{names.steps_to(0.8)}`" not in columns  # not the highest of any model


def test_a_filter_is_one_that_mlflow_understands(store: Store, make_result: Make) -> None:
    results = [make_result(seed, tags={names.Tag.SWEEPS: "ffff 0a1b2c3d"}) for seed in (0, 100)]
    store.record([*results, make_result(1)], None)
    connection = store._connection
    view = views.trial_views(_RECORD, set())[1]
    found = connection.client.search_runs([connection.experiment_id], view.filter, order_by=[f"{view.order} ASC"])
    assert [run.data.params["seed"] for run in found] == ["0"]


@pytest.mark.parametrize("kind", ["charts", "trials"])
def test_no_view_chooses_runs_by_how_they_came_out(kind: str) -> None:
    """MLflow loads a hundred runs in the view's order, and draws those."""
    found = [*views.trial_views(_RECORD, {"fc"}), views.chart_view(_RECORD, _CHARTS)]
    for state in (_state(view) for view in found if view.id.endswith(kind)):
        assert (state["orderByKey"], state["orderByAsc"]) in {("params.`seed`", True), ("metrics.`place`", True)}
        assert "metrics" not in state["searchFilter"]
        assert (state["groupBy"] is None) == (kind == "trials")


def test_charts_are_grouped_by_one_tag_whose_value_is_the_legend() -> None:
    state = _state(views.chart_view(_RECORD, _CHARTS))
    assert state["groupBy"] == {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "tag", "groupByData": "bnbench.level"}],
    }
    curve, along, bars, *undrawn = state["compareRunCharts"]
    assert all(chart["deleted"] for chart in undrawn)
    assert not any(chart["deleted"] for chart in (curve, along, bars))
    assert (curve["xAxisKey"], curve["xAxisScaleType"], curve["scaleType"]) == ("step", "log", "log")
    assert (along["xAxisKey"], along["selectedXAxisMetricKey"]) == ("metric", "log10 lr - fc test accuracy")
    assert (bars["type"], bars["metricKey"]) == ("BAR", "fc test accuracy at own lr")
    sections = state["compareRunSections"]
    assert [(section["name"], section["display"]) for section in sections] == [
        ("fc: losses", False),
        ("fc: more", True),
    ]
    assert [chart["metricSectionId"] for chart in (curve, along, bars)] == ["0", "1", "1"]
    assert [section["uuid"] for section in sections] == ["0", "1"]


def test_of_more_charts_than_a_view_can_hold_the_last_are_left_out() -> None:
    lines = {"none": (Point(1, 1, 1, 1),)}
    many = [MeanChart(f"{random.Random(i).random()} val accuracy", STEP, lines) for i in range(3000)]
    sections = [ChartSection(f"{i}", tuple(many[100 * i : 100 * i + 100]), folded=i % 2 == 1) for i in range(30)]
    charts = SweepCharts(tuple(sections), {}, "")
    state = _state(views.chart_view(_RECORD, charts))
    kept = [section["name"] for section in state["compareRunSections"]]
    assert 0 < len(kept) < 15
    assert kept == [str(2 * i) for i in range(len(kept))]  # what is folded goes first


def test_an_address_names_a_view_that_the_experiment_has(store: Store, start: Start, make_result: Make) -> None:
    start([make_result(0)], name="batch size+placement")
    table = store.load("latest")
    addresses = [store.write_charts(table, charts) for charts in (_CHARTS, SweepCharts((), {}, ""))]
    assert addresses == [
        f"#/experiments/{store.experiment_id}/runs?viewStateShareKey=bnbench-batch-size-placement-{kind}"
        f"&compareRunsMode={mode}&workflowType=machine_learning"
        for kind, mode in (("charts", "CHART"), ("trials", "TABLE"))
    ]
    tags = store._connection.client.get_experiment(store.experiment_id).tags
    ids = {key.removeprefix(TAG) for key in tags if key.startswith(TAG)}
    assert len(ids) == 3
    for address in (*addresses, *re.findall(r"\]\((.*?)\)", views.links(table.record))):
        assert re.search(r"artifacts/report\.html\?|viewStateShareKey=(" + "|".join(ids) + ")&", address)
    assert "bnbench" in tags["mlflow.note.content"]


def test_views_of_earlier_versions_that_drew_the_best_hundred_are_gone(store: Store, start: Start) -> None:
    client = store._connection.client
    former = [TAG + views.view_id(of, "settings") for of in ("placement", "all trials")]
    for key in former:
        client.set_experiment_tag(store.experiment_id, key, "{}")
    start([])
    assert not {*former} & client.get_experiment(store.experiment_id).tags.keys()


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


def test_the_charts_of_an_older_sweep_are_written_again_when_they_are_asked_for(
    store: Store, start: Start, make_result: Make
) -> None:
    start([make_result(0)], id="0001")
    start([make_result(0)], id="0002")

    def shown() -> set[str]:
        tags = store._connection.client.get_experiment(store.experiment_id).tags
        return {str(json.loads(tags[TAG + views.view_id("placement", kind)])["name"]) for kind in ("charts", "trials")}

    for id in ("0002", "0001", "0002"):
        store.write_charts(store.load(f"placement-{id}"), _CHARTS)
        assert shown() == {f"placement ({id}): charts", f"placement ({id}): trials"}
