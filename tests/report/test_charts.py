"""What MLflow's charts draw, judged by plain means over the table of trials."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from bnbench.analysis import Analysis, SweepTable
from bnbench.record import names
from bnbench.record.mean_curves import STEP, MeanChart, SweepCharts
from bnbench.record.planned_trial import MISSING
from bnbench.report.charts import mean_charts
from bnbench.report.figures.panels import MOST_PANELS

MakeSweep = Callable[..., SweepTable]

RATES = [0.02, 0.1, 0.5, 2.5]
AXES = {"model": ["fc", "cnn"], "optimizer.lr": RATES}


def accuracy(params: dict[str, Any], level: str) -> float:
    """Without norm the highest rate leaves fc at chance, and the cnn at every rate."""
    if level == "none" and (params["model"] == "cnn" or params["optimizer.lr"] == 2.5):
        return 0.05
    return 0.9 if level == "none" else 0.93


@pytest.fixture(scope="module")
def table(make_sweep: MakeSweep) -> SweepTable:
    return make_sweep(axes=AXES, accuracy=accuracy, tuning_seeds=(100, 101))


@pytest.fixture(scope="module")
def charts(table: SweepTable) -> SweepCharts:
    return mean_charts(Analysis(table))


def by_key(charts: SweepCharts) -> dict[str, MeanChart]:
    found = [chart for section in charts.sections for chart in section.charts]
    assert len({chart.key for chart in found}) == len(found)
    return {chart.key: chart for chart in found}


def of(table: SweepTable, level: str, model: str, lr: float) -> pd.DataFrame:
    trials = table.reporting
    chosen = trials["norm"].eq("none") if level == "none" else trials["norm.placement"].eq(level)
    return trials[chosen & trials["model"].eq(model) & trials["optimizer.lr"].eq(lr)]


@pytest.mark.parametrize("model", ["fc", "cnn"])
@pytest.mark.parametrize("level", ["none", "before", "after"])
def test_a_point_is_the_mean_of_every_reporting_trial_whatever_came_of_it(
    table: SweepTable, charts: SweepCharts, model: str, level: str
) -> None:
    title = {"fc": "fc test accuracy - 10 collapsed", "cnn": "cnn test accuracy - 40 collapsed"}[model]
    chart = by_key(charts)[title]
    assert chart.axis == f"log10 lr - {model} test accuracy"
    assert [point.x for point in chart.lines[level]] == [math.log10(lr) for lr in RATES]
    for lr, point in zip(RATES, chart.lines[level], strict=True):
        values = 100 * of(table, level, model, lr)[names.TEST_ACC]
        assert len(values) == 10
        low, high = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
        assert (point.mean, point.low, point.high) == pytest.approx((values.mean(), low, high))


def test_who_succeeded_is_drawn_beside_it_where_somebody_did_not(charts: SweepCharts) -> None:
    share = by_key(charts)["fc trials that succeeded - 10 collapsed"]
    assert [point.mean for point in share.lines["none"]] == [100, 100, 100, 0]
    assert [point.mean for point in share.lines["before"]] == [100, 100, 100, 100]


def test_curves_are_means_at_each_step(table: SweepTable, charts: SweepCharts) -> None:
    chart = by_key(charts)["cnn lr 0.1 val accuracy - 10 collapsed"]
    assert chart.axis == STEP
    curves = table.curves[table.curves["key"].isin(of(table, "after", "cnn", 0.1)["key"])]
    means = 100 * curves.groupby("step")[names.VAL_ACC].mean()
    assert [point.x for point in chart.lines["after"]] == means.index.tolist()
    assert [point.mean for point in chart.lines["after"]] == pytest.approx(means.tolist())
    loss = by_key(charts)["cnn lr 0.1 val loss - 10 collapsed"]
    assert loss.log
    assert all(point.low == point.mean == point.high for point in loss.lines["after"])


def test_bars_are_at_the_rates_that_tuning_seeds_chose(table: SweepTable, charts: SweepCharts) -> None:
    bars = by_key(charts)["fc test accuracy at own lr"]
    assert bars.axis is None
    rates = {(one.where["model"], one.level): one.rate for one in Analysis(table).tuned}
    for level, (bar,) in bars.lines.items():
        values = of(table, level, "fc", rates["fc", level])[names.TEST_ACC]
        assert bar.mean == pytest.approx(100 * values.mean())


def test_every_level_has_its_line_in_every_subject(charts: SweepCharts) -> None:
    assert [section.title for section in charts.sections] == [
        f"{model}: {what}" for model in ("fc", "cnn") for what in ("test accuracy, %", "val accuracy, %", "losses")
    ]
    assert all([*chart.lines] == ["none", "before", "after"] for chart in by_key(charts).values())
    assert [*charts.counts] == ["none", "before", "after"]
    assert charts.counts["none"]["collapsed"] == 50
    assert charts.counts["none"]["succeeded"] == 30


def test_diverged_trials_are_in_no_mean_and_counted(make_sweep: MakeSweep) -> None:
    def status(params: dict[str, Any], level: str) -> str:
        return "diverged" if level == "none" and (params["seed"] < 3 or params["optimizer.lr"] == 2.5) else "finished"

    table = make_sweep(axes=AXES, status=status)
    found = by_key(mean_charts(Analysis(table)))
    accuracies = found["fc test accuracy - 19 diverged"].lines["none"]
    assert [point.x for point in accuracies] == [math.log10(lr) for lr in RATES[:3]]  # nothing finished at the last
    kept = of(table, "none", "fc", 0.1).query("status == 'finished'")
    assert len(kept) == 7
    assert accuracies[1].mean == pytest.approx(100 * kept[names.TEST_ACC].mean())
    curve = found["fc lr 0.1 val accuracy - 3 diverged"].lines["none"]
    means = 100 * table.curves[table.curves["key"].isin(kept["key"])].groupby("step")[names.VAL_ACC].mean()
    assert [point.mean for point in curve] == pytest.approx(means.tolist())
    assert [p.mean for p in found["fc trials that succeeded - 19 diverged"].lines["none"]] == [70, 70, 70, 0]


def test_what_is_not_trained_yet_has_not_failed(make_sweep: MakeSweep) -> None:
    late = lambda params, level: MISSING if params["seed"] > 5 else "finished"  # noqa: E731
    charts = mean_charts(Analysis(make_sweep(axes=AXES, status=late)))
    assert "fc test accuracy - 48 missing" in by_key(charts)
    assert not any("succeeded" in key for key in by_key(charts))
    assert "144 of 240 trials are in so far" in charts.note


def test_where_no_number_varies_there_are_bars(make_sweep: MakeSweep) -> None:
    found = by_key(mean_charts(Analysis(make_sweep(axes={"model.activation": ["relu", "tanh"]}))))
    assert {key for key, chart in found.items() if chart.axis is None} == {
        "activation relu test accuracy",
        "activation tanh test accuracy",
    }


def test_a_batch_size_far_apart_is_on_a_logarithmic_axis_and_a_near_one_is_not(make_sweep: MakeSweep) -> None:
    far, near = (
        by_key(mean_charts(Analysis(make_sweep(axes={"training.batch_size": sizes}))))["test accuracy"]
        for sizes in ([1, 8, 64], [32, 48, 64])
    )
    assert far.axis == "log10 batch size - test accuracy"
    assert [point.x for point in far.lines["before"]] == pytest.approx([math.log10(n) for n in (1, 8, 64)])
    assert near.axis == "batch size - test accuracy"


def test_of_many_settings_the_first_are_drawn_and_their_order_is_no_outcomes(make_sweep: MakeSweep) -> None:
    rates = [0.01 * (i + 1) for i in range(MOST_PANELS + 3)]
    rising = lambda params, level: 0.5 + params["optimizer.lr"]  # noqa: E731
    charts = mean_charts(Analysis(make_sweep(axes={"optimizer.lr": rates}, accuracy=rising)))
    accuracies, curves, _ = charts.sections
    assert len(accuracies.charts[0].lines["none"]) == len(rates)
    assert [chart.key for chart in curves.charts] == [f"lr {rate:g} val accuracy" for rate in rates[:MOST_PANELS]]


@pytest.mark.parametrize("status", ["undefined", MISSING])
def test_a_sweep_without_a_result_has_no_charts(make_sweep: MakeSweep, status: str) -> None:
    assert mean_charts(Analysis(make_sweep(axes=AXES, status=lambda params, level: status))).sections == ()


def test_of_a_sweep_that_failed_throughout_that_alone_is_drawn(make_sweep: MakeSweep) -> None:
    charts = mean_charts(Analysis(make_sweep(axes=AXES, status=lambda params, level: "failed")))
    assert [*by_key(charts)] == [f"{model} trials that succeeded - 120 failed" for model in ("fc", "cnn")]
