"""Preset views for MLflow's UI: a sweep's charts, its trials, and all trials of an experiment."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from urllib.parse import urlencode

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from bnbench.record.mean_curves import STEP, MeanChart, SweepCharts
from bnbench.record.names import ACC_BEST, TEST_ACC, TEST_LOSS, Tag, steps_to
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking.connect import Connection
from bnbench.tracking.mean_runs import metric_names, version_of
from bnbench.tracking.tags import PLACE
from bnbench.tracking.view_state import TAG, Bars, Chart, Line, Parallel, Section, View

CHARTS, TRIALS = "charts", "trials"
"""Kinds of views: the means of a sweep, and a table of trials."""

_VERSIONS = re.compile(r"3\.(?:1[5-9]|[2-9]\d)\.")  # MLflow's that have such views
_EXPERIMENT = {
    "mlflow.experimentKind": "custom_model_development",  # its page opens on the runs, not on traces of language models
    MLFLOW_RUN_NOTE: (
        "Recorded by bnbench. A sweep is a run, with its report among its artifacts; its trials are the runs under it. "
        "The Views menu of the runs' page has each sweep's charts, which are means of all its trials. Those that "
        "MLflow makes by itself are of the runs that its page has loaded, a hundred."
    ),
}
_FORMER = ("convergence", "settings")  # kinds of views that drew means of the hundred most accurate trials
_COLUMNS = (f"tags.`{Tag.STATUS}`", f"tags.`{Tag.NORM}`")
_OF_TRIALS = f"tags.`{Tag.KIND}` = 'trial'"
_AS_TRAINING = "workflowType=machine_learning"  # the menu of trainings, not that of language models
_MOST_CLAUSES = 10  # tuning seeds that a filter names
_ALL = "all trials"


def write_views(connection: Connection, name: str, views: Sequence[View]) -> None:
    """Write views; a sweep's earlier ones of the same name are replaced.

    A store that refuses such tags gets no views; that is no reason for a sweep to fail.

    Args:
        connection: The open store.
        name: The sweep's.
        views: What to write.
    """
    if not _VERSIONS.match(mlflow.__version__):
        return
    now = round(time.time() * 1000)
    tags = dict(view.tag(now) for view in views)
    with suppress(MlflowException, OSError):
        tags_there = connection.client.get_experiment(connection.experiment_id).tags
        tags |= {key: value for key, value in _EXPERIMENT.items() if key not in tags_there}
        for key, value in tags.items():
            connection.client.set_experiment_tag(connection.experiment_id, key, value)
        for key in {TAG + view_id(of, kind) for of in (_ALL, name) for kind in _FORMER} & tags_there.keys():
            connection.client.delete_experiment_tag(connection.experiment_id, key)


def view_address(experiment_id: str, view: str, *, table: bool = False) -> str:
    """Where on a server a view is: its charts, or its table."""
    query = {"viewStateShareKey": view, "compareRunsMode": "TABLE" if table else "CHART"}
    return f"#/experiments/{experiment_id}/runs?{urlencode(query)}&{_AS_TRAINING}"


def links(record: SweepRecord) -> str:
    """A line of Markdown that leads from a sweep's run to its report and its charts.

    Args:
        record: The sweep's description, as the store gives it back.
    """
    experiment = record.place.experiment_id
    named = {"report": f"#/experiments/{experiment}/runs/{record.place.run_id}/artifacts/report.html?{_AS_TRAINING}"}
    for kind in (CHARTS, TRIALS):
        named[kind] = view_address(experiment, view_id(record.asked.name, kind), table=kind == TRIALS)
    return " · ".join(f"[{name}]({address})" for name, address in named.items())


def view_id(name: str, kind: str) -> str:
    """The id of a sweep's view, see `CHARTS`."""
    return f"bnbench-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{kind}"


def chart_view(record: SweepRecord, charts: SweepCharts) -> View:
    """The view of a sweep's means, whose runs `mean_runs.write_means` writes.

    Args:
        record: The sweep's description.
        charts: Its charts.
    """
    names = metric_names(charts)
    axes = [names[str(chart.axis)] for s in charts.sections for chart in s.charts if chart.axis not in (None, STEP)]
    sections = [Section(s.title, [_card(chart, names) for chart in s.charts], s.folded) for s in charts.sections]
    outcomes = dict.fromkeys(f"trials {outcome}" for counts in charts.counts.values() for outcome in counts)
    return View(
        id=view_id(record.asked.name, CHARTS),
        name=f"{record.asked.name} ({record.asked.id}): charts",
        filter=f"tags.`{Tag.KIND}` = 'mean' AND tags.`{Tag.CHARTS}` = '{version_of(charts)}'"
        f" AND tags.`{Tag.PARENT}` = '{record.place.run_id}' AND attributes.status = 'FINISHED'",
        order=f"metrics.`{PLACE}`",
        sections=sections,
        columns=[f"metrics.`{outcome}`" for outcome in outcomes],
        groups=[("tag", Tag.LEVEL)],
        undrawn=[PLACE, *outcomes, *axes],
    )


def _card(chart: MeanChart, names: Mapping[str, str]) -> Chart:
    metric = names[chart.key]
    if chart.axis is None:
        return Bars(metric)
    return Line(metric, None if chart.axis == STEP else names[chart.axis], chart.log)


def trial_views(record: SweepRecord, models: Set[str]) -> list[View]:
    """The views of a sweep's trials, and of all trials.

    Args:
        record: The sweep's description.
        models: What its trials train.
    """
    others = [key for key in record.asked.arm_keys if key not in {"norm", "norm.placement"}]
    tuning = record.asked.tuning_seeds if len(record.asked.tuning_seeds) <= _MOST_CLAUSES else []
    clauses = [
        _OF_TRIALS,
        f"tags.`{Tag.SWEEPS}` LIKE '%{record.asked.id}%'",
        *(f"params.`seed` != '{seed}'" for seed in tuning),
    ]
    targets = _targets(record, models)
    usual = ["model", "optimizer.lr", "training.batch_size"]
    return [
        _trials(_ALL, _ALL, _OF_TRIALS, usual, []),
        _trials(record.asked.name, f"{record.asked.name} ({record.asked.id})", " AND ".join(clauses), others, targets),
    ]


def _trials(name: str, title: str, wanted: str, others: Sequence[str], targets: Sequence[float]) -> View:
    """A table of trials, ordered by seed, and a chart of those of its first page: so that no outcome chooses them.

    Args:
        name: What the view is of.
        title: The same, in the menu.
        wanted: Which trials, as a filter.
        others: What the trials differ in beside their norm.
        targets: Accuracies; the steps to them are shown.
    """
    results = [TEST_ACC, TEST_LOSS, ACC_BEST, *map(steps_to, targets)]
    columns = [*_COLUMNS, *(f"params.`{key}`" for key in [*others, "seed"]), *(f"metrics.`{key}`" for key in results)]
    sections = [Section("Trial by trial: a hundred, by seed", [Parallel(["norm", *others], TEST_ACC)])]
    return View(view_id(name, TRIALS), f"{title}: {TRIALS}", wanted, "params.`seed`", sections, columns)


def _targets(record: SweepRecord, models: Set[str]) -> list[float]:
    """Each model's highest accuracy whose steps are recorded."""
    config = record.asked.config
    if not config:
        return []
    asked = config["training"]["targets"]
    lists = [asked] if asked is not None else [config["data"]["targets"].get(model, []) for model in models]
    return sorted({max(targets) for targets in lists if targets})
