"""Writes the runs that MLflow's charts draw: for each compared level its means, and the ends of their intervals.

MLflow draws what its page has loaded, a hundred runs, and averages those. The means of all trials are therefore
computed here, and recorded as three runs a level, which the page groups: it draws their mean, which is the mean, in a
band from the least to the greatest, which are the interval's ends.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict

from mlflow.entities import Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from bnbench.record.mean_curves import STEP, MeanChart, SweepCharts
from bnbench.record.names import Tag
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking.connect import Connection
from bnbench.tracking.group_colours import coloured
from bnbench.tracking.process_identity import this_process
from bnbench.tracking.sweep_runs import all_runs
from bnbench.tracking.sweep_tags import TAG_LENGTH, sweep_tags
from bnbench.tracking.tags import BOUND, PLACE, PROCESS
from bnbench.tracking.trial_runs import TrialRun
from bnbench.tracking.write_runs import write_runs

_BOUNDS = ("mean", "low", "high")  # the ends of the 95 % interval
_MOST_RUNS = 100  # on MLflow's page: where more levels are compared, the means alone are written
_NOT_ALLOWED = re.compile(r"[^\w. -]+")  # in a metric's name, which a slash would make a path
_LONGEST = 200


def version_of(charts: SweepCharts) -> str:
    """What tells these charts from earlier ones of the same sweep, of which fewer trials were in, say."""
    return hashlib.sha256(json.dumps(asdict(charts), sort_keys=True).encode()).hexdigest()[:16]


def metric_names(charts: SweepCharts) -> dict[str, str]:
    """What a chart's `key` or `axis` is called in MLflow, which allows few characters."""
    plain_names: dict[str, str] = {}
    for chart in _all(charts):
        for name in (chart.key, chart.axis):
            if name not in (None, STEP):
                plain = " ".join(_NOT_ALLOWED.sub(" ", str(name)).split())[:_LONGEST]
                plain_names[str(name)] = plain if plain not in plain_names.values() else f"{plain} {len(plain_names)}"
    return plain_names


def write_means(connection: Connection, record: SweepRecord, charts: SweepCharts) -> None:
    """Write those runs of these charts that are not written yet.

    Args:
        connection: The open store.
        record: The sweep's description, as the store gives it back.
        charts: What to write.
    """
    version = version_of(charts)
    written = {_level_and_bound(run) for run in _mean_runs(connection, record.place.run_id) if _is_whole(run, version)}
    for _ in write_runs(
        connection,
        [run for level_and_bound, run in _runs(record, charts, version).items() if level_and_bound not in written],
    ):
        pass


def delete_other_means(connection: Connection, run_id: str, version: str) -> None:
    """Delete a sweep's runs of earlier charts, unfinished ones that a killed process left, and duplicates."""
    seen = set()
    for run in _mean_runs(connection, run_id):
        if _is_whole(run, version) and _level_and_bound(run) not in seen:
            seen.add(_level_and_bound(run))
        elif run.info.status != "RUNNING" or run.data.tags.get(Tag.CHARTS) != version:  # another process may be at it
            connection.client.delete_run(run.info.run_id)


def _mean_runs(connection: Connection, run_id: str) -> list[Run]:
    return all_runs(connection, f"tags.`{Tag.KIND}` = 'mean' AND tags.`{Tag.PARENT}` = '{run_id}'")


def _level_and_bound(run: Run) -> tuple[str, str]:
    return run.data.tags[Tag.LEVEL].rstrip(), run.data.tags[BOUND]


def _is_whole(run: Run, version: str) -> bool:
    return run.info.status == "FINISHED" and run.data.tags[Tag.CHARTS] == version


def _runs(record: SweepRecord, charts: SweepCharts, version: str) -> dict[tuple[str, str], TrialRun]:
    now = round(time.time() * 1000)
    groups = coloured(Tag.LEVEL, [*charts.counts])
    bounds = _BOUNDS if len(_BOUNDS) * len(groups) <= _MOST_RUNS else _BOUNDS[:1]
    runs = {}
    for place, (level, counts) in enumerate(charts.counts.items()):
        for bound in bounds:
            tags = sweep_tags(record) | {
                Tag.PARENT: record.place.run_id,
                Tag.KIND: "mean",
                Tag.LEVEL: groups[level],
                Tag.CHARTS: version,
                BOUND: bound,
                PROCESS: this_process(),
                MLFLOW_RUN_NOTE: charts.note[:TAG_LENGTH],
            }
            values = {PLACE: place, **{f"trials {outcome}": number for outcome, number in counts.items()}}
            metrics = [Metric(key, float(value), now, 0) for key, value in values.items()]
            metrics += _points(charts, level, bound, now)
            runs[level, bound] = TrialRun(f"{level} {bound}", tags, {}, metrics, None, {}, now, now, "FINISHED")
    return runs


def _points(charts: SweepCharts, level: str, bound: str, now: int) -> Iterator[Metric]:
    """Every chart's points; those along an axis are numbered, and their places on it are a metric too."""
    names = metric_names(charts)
    for chart in _all(charts):
        for number, point in enumerate(chart.lines.get(level, ())):
            step = round(point.x) if chart.axis == STEP else number
            yield Metric(names[chart.key], getattr(point, bound), now, step)
            if chart.axis not in (None, STEP):
                yield Metric(names[str(chart.axis)], point.x, now, step)


def _all(charts: SweepCharts) -> Iterator[MeanChart]:
    for section in charts.sections:
        yield from section.charts
