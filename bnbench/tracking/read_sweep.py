"""Joins a sweep's planned trials with the runs that hold their results: one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import pandas as pd

from bnbench.config import Engine
from bnbench.record import names
from bnbench.record.columns import STATE
from bnbench.record.names import CONDITIONS, CURVES, MEASURED_CURVES, Tag, is_curve, is_layer_gradient
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import reached_only
from bnbench.record.sweep_record import SweepRecord
from bnbench.record.sweep_table import SweepTable, param_column
from bnbench.tracking.bulk import Point, RecordedTrial, recorded_points
from bnbench.tracking.connect import Connection
from bnbench.tracking.recorded import counting_runs, standing_of
from bnbench.tracking.sweep_runs import find_sweep, found_out, read_plan
from bnbench.tracking.timing_runs import newest_timing


def load_table(connection: Connection, sweep: str) -> SweepTable:
    """The sweep as the store holds it; nothing is read from anywhere else.

    A trial counts wherever it was trained, see `counting_runs`; one without a run is "missing". Its record says what
    was found out since it was planned.

    Args:
        connection: The open store.
        sweep: A run id, `<name>-<id>`, a name for its newest sweep, or "latest".

    Raises:
        TrackingError: If there is no such sweep.
    """
    run = find_sweep(connection, sweep)
    record, planned = read_plan(connection, run)
    return load_trials(connection, replace(record, found_out=found_out(run)), planned)


def load_trials(connection: Connection, record: SweepRecord, planned: Sequence[PlannedTrial]) -> SweepTable:
    """The planned trials as the store holds them, whatever sweeps they are of; arguments as of `start_sweep`."""
    recorded = counting_runs(connection, planned)
    by_torch = {trial.key for trial in planned if trial.params.get("training.engine") != Engine.lanes}
    conditions, timing = _conditions(recorded, by_torch), newest_timing(connection, planned)
    facts = replace(record.found_out, conditions=conditions, timing=timing)
    key_of = {trial.run_id: key for key, trial in recorded.items()}
    finals: dict[str, dict[str, float]] = {key: {} for key in recorded}
    curves: list[Point] = []
    for run_id, metric, step, value in recorded_points(connection, list(key_of)):
        if is_curve(metric):
            curves.append((key_of[run_id], metric, step, value))
        else:
            finals[key_of[run_id]][metric] = value
    return SweepTable(
        replace(record, found_out=facts),
        trials=_trials(planned, recorded, finals, set(record.asked.tuning_seeds)),
        curves=_curves(planned, curves),
    )


def planned_table(record: SweepRecord, planned: Sequence[PlannedTrial]) -> SweepTable:
    """A sweep of which nothing is recorded yet; arguments as of `start_sweep`."""
    return SweepTable(record, _trials(planned, {}, {}, set(record.asked.tuning_seeds)), _curves(planned, []))


def _conditions(recorded: Mapping[str, RecordedTrial], by_torch: Set[str]) -> dict[str, list[str]]:
    """Each condition's values; of CPUs those that had trials of torch's, for lanes have the same bits on any."""
    tags = (*CONDITIONS, Tag.VERSIONS)
    values_of = {tag: {trial.tags[tag] for trial in recorded.values() if tag in trial.tags} for tag in tags}
    if cpus := {one.tags[Tag.CPU] for key, one in recorded.items() if key in by_torch and Tag.CPU in one.tags}:
        values_of[Tag.CPU] = cpus
    return {tag.rpartition(".")[2]: sorted(values) for tag, values in values_of.items()}


def _trials(
    planned: Sequence[PlannedTrial],
    recorded: dict[str, RecordedTrial],
    finals: dict[str, dict[str, float]],
    tuning_seeds: set[int],
) -> pd.DataFrame:
    states = [_state(trial, recorded.get(trial.key), tuning_seeds) for trial in planned]
    columns: dict[str, pd.Series[Any]] = {
        name: pd.Series([state[name] for state in states], dtype="Int64" if name == "diverged_step" else None)
        for name in STATE
    }
    for name in _union(trial.params for trial in planned):
        columns[name] = param_column([trial.params.get(name) for trial in planned])
    metrics_of = {key: reached_only(metrics) for key, metrics in finals.items()}
    measured = _union(finals.values())
    for name in sorted({*measured, *_of_targets(measured)}):
        values = [metrics_of.get(trial.key, {}).get(name) for trial in planned]
        columns[name] = pd.Series(values, dtype="float64")
    return pd.DataFrame(columns)


def _of_targets(measured: Iterable[str]) -> Iterator[str]:
    """The columns of steps and examples to every target, though no trial may have reached it."""
    for head, _, target in (key.partition("/val_acc_") for key in measured):
        if head == "reached":
            yield from (names.steps_to(float(target)), names.examples_to(float(target)))


def _state(planned: PlannedTrial, recorded: RecordedTrial | None, tuning_seeds: set[int]) -> dict[str, Any]:
    """The values of a trial's state columns."""
    status, reason = standing_of(planned, recorded)
    return {
        "key": planned.key,
        "status": status,
        "reason": reason,
        "diverged_step": recorded.diverged_step if recorded else None,
        "tuning": planned.seed in tuning_seeds,
    }


def _curves(planned: Sequence[PlannedTrial], points: list[Point]) -> pd.DataFrame:
    order = {trial.key: row for row, trial in enumerate(planned)}
    batch_size = {trial.key: trial.params["training.batch_size"] for trial in planned}
    rows: dict[tuple[str, int], dict[str, float]] = {}
    for key, metric, step, value in points:
        rows.setdefault((key, step), {})[metric] = value
    at = sorted(rows, key=lambda row: (order[row[0]], row[1]))
    columns: dict[str, pd.Series[Any]] = {
        "key": pd.Series([key for key, _ in at], dtype="str"),
        "step": pd.Series([step for _, step in at], dtype="int64"),
        "examples": pd.Series([step * batch_size[key] for key, step in at], dtype="int64"),
    }
    measured = {metric for _, metric, _, _ in points}
    by_layer = sorted(filter(is_layer_gradient, measured))
    for metric in (*CURVES, *(metric for metric in MEASURED_CURVES if metric in measured), *by_layer):
        columns[metric] = pd.Series([rows[row].get(metric) for row in at], dtype="float64")
    return pd.DataFrame(columns)


def _union(dicts: Any) -> list[str]:
    """The keys of all of them, in the order in which they first appear."""
    return list(dict.fromkeys(key for each in dicts for key in each))
