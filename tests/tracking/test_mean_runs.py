"""The runs that MLflow's charts draw: read back and averaged as MLflow's page does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from bnbench.record import names
from bnbench.record.mean_curves import STEP, ChartSection, MeanChart, Point, SweepCharts
from bnbench.record.results import TrialResult
from bnbench.tracking import mean_runs
from bnbench.tracking.group_colours import coloured
from bnbench.tracking.store import Store
from bnbench.tracking.views import chart_view

Make = Callable[..., TrialResult]
Start = Callable[..., str]

_LINES = {
    "none": (Point(1, 50, 40, 60), Point(10, 70, 69, 71)),
    "before": (Point(1, 30, 30, 30), Point(10, 1 / 3, 0.3, 11 / 30)),
}


def charts_of(shift: float = 0.0, levels: tuple[str, ...] = ("none", "before")) -> SweepCharts:
    lines = {level: _LINES[level] for level in levels if level in _LINES}
    lines["none"] = (Point(1, 50 + shift, 40 + shift, 60 + shift), *_LINES["none"][1:])
    along = {level: tuple(replace(point, x=point.x - 3) for point in points) for level, points in lines.items()}
    bars = {level: (replace(points[0], x=0),) for level, points in lines.items()}
    shown = (
        MeanChart("fc lr 0.1 val accuracy - 3 collapsed", STEP, lines),
        MeanChart("fc test accuracy", "log10 lr - fc test accuracy", along),
        MeanChart("fc widths [64,64] test accuracy", None, bars),
        MeanChart("fc widths [64, 64] test accuracy", None, bars),
    )
    counts = {level: {"planned": 10, "collapsed": 3} for level in levels}
    return SweepCharts((ChartSection("fc: test accuracy, %", shown),), counts, "what it is a mean of")


@pytest.fixture(params=["database", "server"])
def written(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, and the same written call by call as a server is."""
    if request.param == "server":
        monkeypatch.setattr(mean_runs, "write_runs", _one_by_one)
    return store


def _one_by_one(connection: Any, runs: Any) -> Any:
    from bnbench.tracking.write_runs import _send

    return [_send(connection, run) for run in runs]


def shown(store: Store, table: Any, charts: SweepCharts) -> list[Run]:
    """What MLflow's page loads for the charts' address."""
    view, connection = chart_view(table.record, charts), store._connection
    order = [f"{view.order} ASC"]
    return [*connection.client.search_runs([connection.experiment_id], view.filter, max_results=100, order_by=order)]


def drawn(store: Store, runs: list[Run], metric: str) -> dict[str, dict[int, tuple[float, float, float]]]:
    """As MLflow draws groups: at each step the average, the least and the greatest of their runs."""
    found: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        for point in store._connection.client.get_metric_history(run.info.run_id, metric):
            found.setdefault(run.data.tags[names.Tag.LEVEL].rstrip(), {}).setdefault(point.step, []).append(point.value)
    return {
        level: {step: (sum(values) / len(values), min(values), max(values)) for step, values in steps.items()}
        for level, steps in found.items()
    }


def test_what_mlflow_draws_of_groups_is_the_mean_and_its_interval(
    written: Store, start: Start, make_result: Make
) -> None:
    start([make_result(0)])
    table, charts = written.load("latest"), charts_of()
    address = written.write_charts(table, charts)
    assert "placement-charts" in address
    runs = shown(written, table, charts)
    assert [run.info.run_name.split()[0] for run in runs] == ["none"] * 3 + ["before"] * 3
    curve = drawn(written, runs, "fc lr 0.1 val accuracy - 3 collapsed")
    assert curve["none"] == {1: (50, 40, 60), 10: (70, 69, 71)}
    assert curve["before"][10] == pytest.approx((1 / 3, 0.3, 11 / 30), abs=1e-15)
    along, places = drawn(written, runs, "fc test accuracy"), drawn(written, runs, "log10 lr - fc test accuracy")
    assert along["none"] == {0: (50, 40, 60), 1: (70, 69, 71)}
    assert places["none"] == {0: (-2, -2, -2), 1: (7, 7, 7)}
    assert drawn(written, runs, "fc widths 64 64 test accuracy")["before"] == {0: (30, 30, 30)}
    assert {run.data.metrics["trials collapsed"] for run in runs} == {3}
    assert {run.data.tags["mlflow.note.content"] for run in runs} == {"what it is a mean of"}
    assert {run.data.tags[names.Tag.PARENT] for run in runs} == {table.record.place.run_id}


def test_every_chart_has_a_card_of_a_metric_that_is_there(store: Store, start: Start, make_result: Make) -> None:
    start([make_result(0)])
    table, charts = store.load("latest"), charts_of()
    store.write_charts(table, charts)
    there = {key for run in shown(store, table, charts) for key in run.data.metrics}
    named = chart_view(table.record, charts)._state()["compareRunCharts"]
    assert {card["metricKey"] for card in named} == there  # MLflow makes charts of its own of what is not named
    cards = [card for card in named if not card["deleted"]]
    assert len({card["metricKey"] for card in cards}) == 4
    assert {card["metricKey"] for card in cards} <= there
    assert [card["selectedXAxisMetricKey"] for card in cards if card["type"] == "LINE"] == [
        "",
        "log10 lr - fc test accuracy",
    ]


def test_again_changes_nothing_and_other_charts_take_their_place(
    written: Store, start: Start, make_result: Make
) -> None:
    start([make_result(0)])
    table = written.load("latest")

    def ids(charts: SweepCharts) -> set[str]:
        written.write_charts(table, charts)
        found = {run.info.run_id for run in shown(written, table, charts)}
        assert found == {
            run.info.run_id for run in mean_runs._mean_runs(written._connection, table.record.place.run_id)
        }
        return found

    first = ids(charts_of())
    assert ids(charts_of()) == first
    later = ids(charts_of(shift=1))
    assert len(later) == 6
    assert not later & first
    assert len(ids(charts_of(levels=("none",)))) == 3


def test_charts_of_one_sweep_leave_those_of_another(store: Store, start: Start, make_result: Make) -> None:
    tables = [store.load(start([make_result(0)], id=id)) for id in ("0001", "0002")]
    for table in tables:
        store.write_charts(table, charts_of())
    assert [len(shown(store, table, charts_of())) for table in tables] == [6, 6]


def test_after_a_kill_the_earlier_charts_or_the_new_ones_are_drawn_and_whole(
    written: Store, start: Start, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    start([make_result(0)])
    table, old, new = written.load("latest"), charts_of(), charts_of(shift=1)
    written.write_charts(table, old)
    connection = written._connection
    names_of_calls = ("create_run", "log_batch", "set_terminated", "set_experiment_tag", "delete_run")
    for allowed in count():  # killed before its nth call that writes
        with monkeypatch.context() as patch:
            budget = _Budget(allowed)
            for name in names_of_calls:
                patch.setattr(connection.client, name, budget.guard(getattr(connection.client, name)))
            try:
                written.write_charts(table, new)
            except KeyboardInterrupt:
                done = False
            else:
                done = True
        now = connection.client.search_runs([connection.experiment_id], _filter_of_view(written))
        assert len(now) == 6
        if done:
            break
    kept = mean_runs._mean_runs(connection, table.record.place.run_id)
    assert [run.info.status for run in kept].count("FINISHED") == 6
    assert allowed > 3


class _Budget:
    """Lets so many calls through, and ends the process at the next."""

    def __init__(self, allowed: int) -> None:
        self._left = allowed

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
            return call(*args, **more)

        return guarded


def _filter_of_view(store: Store) -> str:
    import base64
    import json
    import zlib

    tags = store._connection.client.get_experiment(store.experiment_id).tags
    envelope = json.loads(tags["mlflow.sharedViewState.bnbench-placement-charts"])
    state = json.loads(zlib.decompress(base64.b64decode(envelope["state"].partition(";")[2])))
    return str(state["searchFilter"])


def test_who_reads_trials_and_sweeps_sees_none_of_them(store: Store, start: Start, make_result: Make) -> None:
    results = [make_result(seed) for seed in range(3)]
    run_id = start(results)
    store.record(results, run_id)
    before = (store.finished(), store.sweeps(), store.standing("latest"), store.recorded("latest"))
    table = store.load("latest")
    store.write_charts(table, charts_of())
    assert (store.finished(), store.sweeps(), store.standing("latest"), store.recorded("latest")) == before
    assert store.load("latest").trials.equals(table.trials)
    assert store.close_killed() == 0
    client = store._connection.client
    tags = client.get_experiment(store.experiment_id).tags
    assert any("placement-trials" in key for key in tags)
    listed = client.search_runs([store.experiment_id], f"tags.`{names.Tag.SWEEPS}` LIKE '%0a1b%'")
    assert len(listed) == 3


def test_a_sweep_without_charts_is_shown_as_a_table(store: Store, start: Start, make_result: Make) -> None:
    start([make_result(0)])
    address = store.write_charts(store.load("latest"), SweepCharts((), {}, ""))
    assert "placement-trials" in address


def test_the_page_holds_the_runs_of_any_number_of_levels_or_their_means(
    store: Store, start: Start, make_result: Make
) -> None:
    start([make_result(0)])
    table, charts = store.load("latest"), charts_of(levels=("none", *map(str, range(60))))
    store.write_charts(table, charts)
    assert len(shown(store, table, charts)) == 61


def test_no_two_of_many_groups_have_a_colour_in_common() -> None:
    from bnbench.tracking.group_colours import _GREYS, _colour

    given = ["none", "before", "after", "batch", "layer", "group", "instance", "rms", "online", "filter_response"]
    padded = coloured("bnbench.level", given)
    assert [text.rstrip() for text in padded.values()] == given
    colours = [_colour(f"tag.bnbench.level.{text}") for text in padded.values()]
    assert len({*colours}) == len(given)
    assert [colour in _GREYS for colour in colours] == [True] + [False] * 9
    many = coloured("bnbench.level", [str(i) for i in range(100)])
    assert [text.strip() for text in many.values()] == [str(i) for i in range(100)]


def test_a_colour_is_that_which_the_page_was_seen_to_give() -> None:
    from bnbench.tracking.group_colours import _colour

    assert _colour("tag.bnbench.level.none") == 19  # "#3ba65e" in the list of 3.17.2


def test_a_store_that_refuses_says_so_in_one_line(
    store: Store, start: Start, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnbench.tracking import TrackingError

    start([make_result(0)])
    table = store.load("latest")

    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("read only")

    monkeypatch.setattr(mean_runs, "write_runs", refuse)
    with pytest.raises(TrackingError, match="read only"):
        store.write_charts(table, charts_of())
