"""A sweep's planned trials joined with the runs that count for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from bnbench.record.names import Tag, is_curve
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import Recorded, TrialResult, reached_only
from bnbench.record.sweep_record import Environment, SweepRecord
from bnbench.tracking.bulk import RecordedTrial, recorded_points, recorded_trials
from bnbench.tracking.connect import Connection
from bnbench.tracking.sweep_runs import find_sweep, read_plan, read_plan_if_kept


def counting_runs(connection: Connection, planned: Sequence[PlannedTrial]) -> dict[str, RecordedTrial]:
    """By key, the run that counts for a trial: the newest finished one, in any sweep.

    Failed runs stand where there is no other; a planned trial without either is left out.
    """
    latest: dict[str, RecordedTrial] = {}
    for trial in recorded_trials(connection):  # the latest last
        if trial.counts or trial.key not in latest or not latest[trial.key].counts:
            latest[trial.key] = trial
    return {trial.key: latest[trial.key] for trial in planned if trial.key in latest}


def standing_of(planned: PlannedTrial, run: RecordedTrial | None) -> tuple[str, str]:
    """A trial's status and its reason, which may be empty: those of the run that counts, or else as planned."""
    return (run.status, run.reason) if run else (planned.status, planned.undefined or "")


def read_recorded(connection: Connection, sweep: str) -> tuple[SweepRecord, list[Recorded]]:
    """A sweep's description, and its trials in the planned order with every number they have.

    Args:
        connection: The open store.
        sweep: As `find_sweep` takes it.

    Raises:
        TrackingError: If there is no such sweep.
    """
    record, planned = read_plan(connection, find_sweep(connection, sweep))
    runs = counting_runs(connection, planned)
    sweeps: dict[str | None, SweepRecord | None] = {None: None, record.place.run_id: record}
    results: dict[str, TrialResult] = {}  # by run id
    recorded = []
    for trial in planned:
        origin, run = record, runs.get(trial.key)
        status, reason = standing_of(trial, run)
        result = TrialResult(trial.key, trial.params, status, reason or None)
        if run is not None:
            if run.sweep_run_id not in sweeps:
                plan = read_plan_if_kept(connection, str(run.sweep_run_id))
                sweeps[run.sweep_run_id] = plan and plan[0]
            origin = _origin(run, sweeps[run.sweep_run_id], record)
            result = replace(result, diverged_step=run.diverged_step, tags=run.tags)
            results[run.run_id] = result
        recorded.append(Recorded(result, origin, trial.seed in record.asked.tuning_seeds))
    for run_id, metric, step, value in sorted(recorded_points(connection, [*results])):
        if is_curve(metric):
            results[run_id].curves.setdefault(metric, []).append((step, value))
        else:
            results[run_id].metrics[metric] = value
    results_now = (replace(trial.result, metrics=reached_only(trial.result.metrics)) for trial in recorded)
    return record, [replace(trial, result=result) for trial, result in zip(recorded, results_now, strict=True)]


def _origin(run: RecordedTrial, trained: SweepRecord | None, asked: SweepRecord) -> SweepRecord:
    """The description of the sweep that trained a trial.

    Where that sweep is not in the store any more, or never was, it is the one of the sweep that asked for the trial,
    which has the same images, with what the trial's own run says of versions, machine and code.

    Args:
        run: The trial's.
        trained: Of the sweep that its run is under, if that can still be read.
        asked: Of the sweep at hand.
    """
    if trained is not None and run.tags.get(Tag.SWEEP_ID, trained.asked.id) == trained.asked.id:
        return trained
    versions = dict(word.split("=", 1) for word in run.tags.get(Tag.VERSIONS, "").split())
    git = {"commit": run.tags[MLFLOW_GIT_COMMIT]} if MLFLOW_GIT_COMMIT in run.tags else {}
    return replace(asked, environment=Environment(versions, git, {"cpu": run.tags.get(Tag.CPU)}))
