from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.request import url2pathname

import pandas as pd
import pytest

from bnbench.record import names
from bnbench.record.names import Tag
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking import TrackingError
from bnbench.tracking.store import Store

Make = Callable[..., TrialResult]
Start = Callable[..., str]


def _points(curves: pd.DataFrame, key: str, metric: str) -> list[tuple[int, float]]:
    rows = curves[curves["key"] == key].dropna(subset=metric)
    return list(zip(rows["step"].tolist(), rows[metric].tolist(), strict=True))


def test_a_sweep_is_read_back_bit_for_bit(store: Store, make_result: Make, start: Start) -> None:
    results = [make_result(seed) for seed in (2, 0, 1)]
    start(results)
    store.record(results[::-1], None)
    table = store.load("latest")
    assert table.trials["key"].tolist() == [result.key for result in results]
    for result, (_, row) in zip(results, table.trials.iterrows(), strict=True):
        assert row["status"] == "finished"
        for key, value in result.metrics.items():
            assert row[key] == value
        for key, points in result.curves.items():
            assert _points(table.curves, result.key, key) == points


def test_params_keep_their_types(store: Store, make_result: Make, start: Start) -> None:
    plain = make_result(0)
    without = {"seed": 1, "model": "fc", "norm": "none", "optimizer.lr": 1, "training.batch_size": 60}
    results = [plain, make_result(1, params=without)]
    start(results)
    store.record(results, None)
    trials = store.load("latest").trials
    first, second = (row for _, row in trials.iterrows())
    assert all(first[key] == value for key, value in plain.params.items() if value is not None)
    assert pd.isna(first["training.eval_examples"])
    assert second["norm"] == "none"
    assert pd.isna(second["norm.placement"])
    assert trials["seed"].dtype == "int64"
    assert trials["training.steps"].dtype == "Int64"
    assert trials["norm.affine"].dtype == "boolean"
    assert trials["optimizer.lr"].dtype == "float64"
    assert pd.api.types.is_string_dtype(trials["norm"])
    assert trials["diverged_step"].dtype == "Int64"
    assert trials["tuning"].dtype == "bool"


def test_curves_have_every_metric_the_examples_seen_and_the_planned_order(
    store: Store, make_result: Make, start: Start
) -> None:
    results = [make_result(seed) for seed in (1, 0)]
    start(results)
    store.record(results, None)
    curves = store.load("latest").curves
    assert curves.columns.tolist() == ["key", "step", "examples", *names.CURVES]
    assert curves["examples"].tolist() == (curves["step"] * 60).tolist()
    assert curves["key"].drop_duplicates().tolist() == [result.key for result in results]
    assert curves.groupby("key")["step"].is_monotonic_increasing.all()
    assert curves[names.TRAIN_LOSS].isna().tolist() == (curves["step"] == 0).tolist()
    assert curves[names.VAL_LOSS].isna().all()
    assert (curves[list(names.CURVES)].dtypes == "float64").all()


def test_what_only_some_trials_measured_is_a_column_and_what_none_did_is_not(
    store: Store, make_result: Make, start: Start
) -> None:
    points = [(0, 0.25), (20, 1e-300)]
    results = [make_result(0), make_result(1, curves={names.VAL_ACC: [(0, 0.5)], names.GRADIENT_MAX: points})]
    start(results)
    store.record(results, None)
    curves = store.load("latest").curves
    assert curves.columns.tolist() == ["key", "step", "examples", *names.CURVES, names.GRADIENT_MAX]
    assert _points(curves, results[1].key, names.GRADIENT_MAX) == points
    assert curves[curves["key"] == results[0].key][names.GRADIENT_MAX].isna().all()


@pytest.mark.parametrize("older", [False, True], ids=["as now", "as older stores have it"])
def test_steps_to_a_target_that_was_missed_are_empty(
    older: bool, store: Store, make_result: Make, start: Start
) -> None:
    budget = {names.steps_to(0.9): 20.0, names.examples_to(0.9): 1200.0} if older else {}
    metrics = make_result(0).metrics | {names.examples_to(0.9): 780.0}
    missed = {names.TEST_ACC: 0.1, names.reached(0.9): 0.0, **budget}
    unreached = {names.reached(0.95): 0.0} | ({names.steps_to(0.95): 20.0} if older else {})
    results = [make_result(0, metrics=metrics | unreached), make_result(1, metrics=missed | unreached)]
    start(results)
    store.record(results, None)
    trials = store.load("latest").trials
    for key, hit in ((names.steps_to(0.9), 13.0), (names.examples_to(0.9), 780.0)):
        assert trials[key].tolist() == [hit, pytest.approx(math.nan, nan_ok=True)]
    for key in (names.steps_to(0.95), names.examples_to(0.95)):
        assert trials[key].isna().all(), "a column all the same"
    assert trials[names.reached(0.9)].tolist() == [1, 0]
    assert trials["training.steps"].tolist() == [20, 20]
    _, recorded = store.recorded("latest")
    kept = {names.TEST_ACC, names.reached(0.9), names.reached(0.95)}
    assert {*recorded[1].result.metrics} == kept


def test_planned_trials_without_a_result_are_missing_undefined_or_failed(
    store: Store, make_result: Make, start: Start
) -> None:
    missing, failed, diverged = (
        make_result(0),
        make_result(1, status="failed", reason="no disk"),
        make_result(100),
    )
    diverged = make_result(100, status="diverged", reason="loss is not finite", diverged_step=7, metrics={})
    undefined = PlannedTrial("u", make_result(3).params, undefined="one value")
    planned = [PlannedTrial(result.key, result.params) for result in (missing, failed, diverged)]
    meta = {"name": "a", "id": "1", "question": "?", "command": ["x"], "tuning_seeds": [100]}
    store.start_sweep(SweepRecord.from_json(meta), [*planned, undefined])
    store.record([failed, diverged], None)
    trials = store.load("latest").trials
    assert trials["status"].tolist() == ["missing", "failed", "diverged", "undefined"]
    assert trials["reason"].tolist() == ["", "no disk", "loss is not finite", "one value"]
    assert trials["diverged_step"].tolist() == [pd.NA, pd.NA, 7, pd.NA]
    assert trials["tuning"].tolist() == [False, False, True, False]
    assert trials["seed"].tolist() == [0, 1, 100, 3]


def test_a_sweep_of_which_nothing_is_recorded_yet_has_empty_curves(
    make_result: Make, start: Start, store: Store
) -> None:
    start([make_result(0)])
    table = store.load("latest")
    assert table.trials["status"].tolist() == ["missing"]
    assert len(table.curves) == 0
    assert table.curves.columns.tolist() == ["key", "step", "examples", *names.CURVES]


def test_a_trial_counts_in_every_sweep_that_lists_it(store: Store, make_result: Make, start: Start) -> None:
    result = make_result(0)
    store.record([result], start([result], name="a"))
    start([result], name="b")
    assert store.load("b").trials["status"].tolist() == ["finished"]


def test_the_newest_finished_run_of_a_trial_counts(store: Store, make_result: Make, start: Start) -> None:
    def result(started: float, accuracy: float, status: str = "finished") -> TrialResult:
        tags = {names.Tag.ANEW: "true"}
        finals = {names.TEST_ACC: accuracy}
        return make_result(0, started=started, ended=started, status=status, metrics=finals, tags=tags)

    start([make_result(0)])
    store.record([result(3e9, 0.3)], None)
    store.record([result(2e9, 0.2), result(4e9, 0.4, "failed")])
    trials = store.load("latest").trials
    assert trials["status"].tolist() == ["finished"]
    assert trials[names.TEST_ACC].tolist() == [0.3]


def test_the_record_comes_back_with_where_it_was_tracked(store: Store, start: Start) -> None:
    run_id = start([])
    assert store.load("latest").record.found_out.wall_seconds is None
    store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[], note="")
    record = store.load("latest").record
    assert record.asked.question == "Before or after?"
    assert record.asked.command == ["python", "-m", "bnbench", "+sweep=placement"]
    assert record.place.run_id == run_id
    assert record.place.experiment_id == store.experiment_id
    assert record.place.tracking_uri == store.address.uri
    assert 0 <= record.found_out.wall_seconds < 60


def test_a_sweep_is_found_by_run_id_full_name_name_and_latest(store: Store, start: Start) -> None:
    runs = {id: start([], name=name, id=id) for name, id in [("a", "1"), ("a", "2"), ("b", "3")]}
    found = {sweep: store.load(sweep).record.asked.id for sweep in (runs["1"], "a-1", "a", "b", "latest")}
    assert found == {runs["1"]: "1", "a-1": "1", "a": "2", "b": "3", "latest": "3"}
    assert [(sweep.name, sweep.summary.id) for sweep in store.sweeps()] == [("b", "3"), ("a", "2"), ("a", "1")]


def test_an_unknown_sweep_is_answered_with_those_there_are(store: Store, start: Start) -> None:
    with pytest.raises(TrackingError, match="there are: none"):
        store.load("latest")
    start([], name="a", id="1")
    with pytest.raises(TrackingError, match=r"^sweep=nothing is not in sqlite:.*; there are: a-1; "):
        store.load("nothing")


def test_a_sweep_whose_files_are_gone_is_answered_in_one_line(store: Store, start: Start) -> None:
    run_id = start([])
    uri = store._connection.client.get_run(run_id).info.artifact_uri
    shutil.rmtree(Path(url2pathname(uri.removeprefix("file://"))))
    with pytest.raises(TrackingError, match=r"placement-0a1b has no readable sweep\.json in file:.* put the folder"):
        store.load("latest")


def test_trials_of_sweeps_under_other_versions_are_told_by_them(store: Store, make_result: Make, start: Start) -> None:
    old, new = make_result(seed=0), make_result(seed=1)
    store.record([old], start([old], id="old", versions={"numpy": "1"}))
    sweep = start([old, new], id="new", versions={"numpy": "2"})
    store.record([new], sweep)
    assert store.load(sweep).record.found_out.conditions["versions"] == ["numpy=1", "numpy=2"]


@pytest.mark.parametrize(("engine", "cpus"), [("torch", ["A", "B"]), ("lanes", None)])
def test_trials_of_torch_are_told_by_the_cpus_that_trained_them(
    engine: str, cpus: list[str] | None, store: Store, make_result: Make, start: Start
) -> None:
    made = [make_result(seed) for seed in range(2)]
    results = [
        replace(one, params={**one.params, "training.engine": engine}, tags={**one.tags, Tag.CPU: cpu})
        for one, cpu in zip(made, "AB", strict=True)
    ]
    sweep = start(results)
    store.record(results, sweep)
    assert store.load(sweep).record.found_out.conditions.get("cpu") == cpus
