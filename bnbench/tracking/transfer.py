"""Reads a whole sweep from a store, and records it in another one, where trials already recorded stay as they are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from bnbench.config import ConfigError
from bnbench.record.names import Tag
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Place
from bnbench.tracking.archive import SweepArchive
from bnbench.tracking.bulk import chunks
from bnbench.tracking.connect import Connection
from bnbench.tracking.files import read_files, write_paths
from bnbench.tracking.read_sweep import planned_table
from bnbench.tracking.recorded import counting_runs, read_recorded
from bnbench.tracking.sweep_runs import PLAN, all_runs, find_sweep, read_plan, start_sweep
from bnbench.tracking.sweep_tags import TAG_LENGTH, Parent
from bnbench.tracking.tags import DIVERGED_STEP, PROCESS
from bnbench.tracking.timing_runs import newest_timing, record_timing
from bnbench.tracking.trial_runs import data_of, trial_run
from bnbench.tracking.views import links, trial_views, write_views
from bnbench.tracking.write_runs import add_to_sweep, write_runs

_RUNS_A_QUERY = 100
_HERE = {PROCESS, Tag.PARENT, Tag.LOADED, MLFLOW_RUN_NAME}  # tags that hold of a run in one store alone
_OF_RESULT = {Tag.KIND, Tag.KEY, Tag.STATUS, Tag.REASON, Tag.NORM, Tag.ARM, DIVERGED_STEP, MLFLOW_RUN_NOTE}


@dataclass(frozen=True)
class Added:
    """What came of recording a sweep that another store had.

    Attributes:
        run_id: Of the sweep's run.
        is_new: Whether the sweep was not here.
        trials: How many of its results were not here.
        recorded_before: How many were.
        differing: How many of those have other numbers here; the numbers here stay.
    """

    run_id: str
    is_new: bool
    trials: int
    recorded_before: int
    differing: int


def gather(connection: Connection, sweep: str) -> SweepArchive:
    """A sweep with the results of all its trials, whichever sweep trained them.

    Args:
        connection: The open store.
        sweep: As `find_sweep` takes it.

    Raises:
        TrackingError: If there is no such sweep.
    """
    run = find_sweep(connection, sweep)
    record, planned = read_plan(connection, run)
    recorded = counting_runs(connection, planned)
    runs = _runs(connection, [trial.run_id for trial in recorded.values()])
    results = []
    for trial in read_recorded(connection, run.info.run_id)[1]:
        if trial.result.key in recorded:
            results.append(_whole(trial.result, runs[recorded[trial.result.key].run_id]))
    timing = newest_timing(connection, planned)
    if timing is not None:
        timing = replace(timing, arms=[replace(arm, keys=[]) for arm in timing.arms])
    files = {name: content for name, content in read_files(connection, run).items() if name != PLAN}
    return SweepArchive(replace(record, place=Place()), planned, _about(run), results, timing, files)


def _runs(connection: Connection, run_ids: Sequence[str]) -> dict[str, Run]:
    runs = {}
    for chunk in chunks(run_ids, _RUNS_A_QUERY):
        ids = ", ".join(f"'{run_id}'" for run_id in chunk)
        runs.update({run.info.run_id: run for run in all_runs(connection, f"attributes.run_id IN ({ids})")})
    return runs


def _whole(result: TrialResult, run: Run) -> TrialResult:
    """A result with its run's tags, data and times too."""
    return replace(
        result,
        tags={key: value for key, value in run.data.tags.items() if key not in _HERE | _OF_RESULT},
        data=data_of(run),
        started=run.info.start_time / 1000,
        ended=(run.info.end_time or run.info.start_time) / 1000,
    )


def _about(run: Run) -> dict[str, Any]:
    """The sweep's own run; one still running is archived as killed."""
    return {
        "status": "KILLED" if run.info.status == "RUNNING" else run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time or run.info.start_time,
        "tags": {key: value for key, value in run.data.tags.items() if key not in _HERE},
        "metrics": dict(run.data.metrics),
    }


def add(connection: Connection, archive: SweepArchive) -> Added:
    """Record a sweep and its trials, as far as they are not in the store.

    A trial is known by its key: one that has a result here keeps it. A call that was interrupted is completed by the
    next; a sweep that is recorded completely stays as it is.

    Raises:
        ConfigError: If the archive's sweep or a result cannot be recorded; nothing is written then.
    """
    _check(archive)
    before = counting_runs(connection, archive.planned)
    fresh = [
        result
        for result in archive.results
        if result.key not in before or (result.status != "failed" and not before[result.key].counts)
    ]
    runs_here = [
        run for run in all_runs(connection, f"tags.`{Tag.SWEEP_ID}` = '{archive.record.asked.id}'") if _is_sweep(run)
    ]
    is_whole = bool(runs_here) and runs_here[0].data.tags.get(Tag.LOADED) != "begun"
    if runs_here:
        run_id = str(runs_here[0].info.run_id)
    else:
        tags = {**archive.run["tags"], Tag.LOADED: "begun"}
        run_id = start_sweep(
            connection, archive.record, archive.planned, tags=tags, start_time=int(archive.run["started"])
        )
    parent = Parent.of(run_id, archive.record, archive.planned)
    for _ in write_runs(connection, [trial_run(result, parent) for result in fresh]):
        pass
    if not is_whole:
        id = archive.record.asked.id
        others = {key for key, trial in before.items() if id not in trial.tags.get(Tag.SWEEPS, "").split()}
        if others:
            add_to_sweep(connection, others, id)
        if archive.timing is not None and newest_timing(connection, archive.planned) is None:
            record_timing(connection, archive.timing)
        models = {trial.params["model"] for trial in archive.planned}
        write_views(connection, archive.record.asked.name, trial_views(archive.record, models))
        _finish(connection, run_id, archive)
    differing = _differing(connection, run_id, archive, before.keys() - {result.key for result in fresh})
    return Added(run_id, not runs_here, len(fresh), len(archive.results) - len(fresh), differing)


def _is_sweep(run: Run) -> bool:
    return bool(run.data.tags.get(Tag.KIND) == "sweep")


def _check(archive: SweepArchive) -> None:
    try:
        planned_table(archive.record, archive.planned)
        for result in archive.results:
            trial_run(result, None)
        for key in ("status", "started", "ended", "tags", "metrics"):
            archive.run[key]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"sweep {archive.title} cannot be recorded, for its file does not hold what a sweep has ({error!r}); "
            "have it packed again"
        ) from error


def _finish(connection: Connection, run_id: str, archive: SweepArchive) -> None:
    """Write the rest of a sweep's run, and last the tag that says it is complete."""
    client, ended = connection.client, int(archive.run["ended"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, content in archive.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        write_paths(connection, run_id, sorted(folder.iterdir()))
    place = Place(run_id=run_id, experiment_id=connection.experiment_id)
    _, _, note = archive.run["tags"].get(MLFLOW_RUN_NOTE, "").partition("\n\n")  # after links that led elsewhere
    client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{links(replace(archive.record, place=place))}\n\n{note}"[:TAG_LENGTH])
    metrics: Mapping[str, float] = archive.run["metrics"]
    client.log_batch(run_id, metrics=[Metric(key, value, ended, 0) for key, value in metrics.items()], synchronous=True)
    client.set_terminated(run_id, archive.run["status"], end_time=ended)
    client.set_tag(run_id, Tag.LOADED, "done")


def _differing(connection: Connection, run_id: str, archive: SweepArchive, keys: set[str]) -> int:
    """How many of the known trials have other numbers here than in the archive."""
    here = {trial.result.key: trial.result for trial in read_recorded(connection, run_id)[1]} if keys else {}
    there = {result.key: result for result in archive.results}
    return sum(
        (there[key].status, there[key].metrics, there[key].curves)
        != (here[key].status, here[key].metrics, here[key].curves)
        for key in keys & there.keys()
    )
