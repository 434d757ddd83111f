"""Writes finished runs: into a database a whole pack in one transaction, to a server call by call.

MLflow's client takes five calls and nine transactions for a run, and SQLAlchemy an object for every value: 37 ms a
run of 240 values. The rows alone take 8 ms.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow.entities import Dataset, LifecycleStage, Metric, Param, SourceType
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import (
    SqlDataset,
    SqlExperiment,
    SqlInput,
    SqlInputTag,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_USER
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from bnbench.record.names import Tag
from bnbench.tracking.bulk import SQL_RUNS, chunks, recorded_trials
from bnbench.tracking.connect import Connection
from bnbench.tracking.files import run_uri, write_text
from bnbench.tracking.trial_runs import TrialRun

_REST_THREADS = 8
_ATTEMPTS = 4
_MOST_SWEEPS = 500

_Row = dict[str, Any]


def write_runs(connection: Connection, runs: Sequence[TrialRun]) -> Iterator[str]:
    """The new runs' ids, in their order, each once its run is in the store and terminated.

    A database has all of them or none. On a server each is terminated after everything else is in, so a half-written
    run is never taken for a result.
    """
    if isinstance(connection.store, SqlAlchemyStore):
        run_ids = _insert(connection.store, connection, runs)
        yield from run_ids
        for run_id, run in zip(run_ids, runs, strict=True):
            _write_texts(connection, run_id, run)
    else:
        for run in runs:
            yield _send(connection, run)


def add_to_sweep(connection: Connection, keys: Set[str], sweep_id: str) -> None:
    """Note on the newest run of each of these trials that this sweep lists it too, so that its charts show it."""
    for attempt in range(1, _ATTEMPTS + 1):
        runs = {trial.key: trial for trial in recorded_trials(connection) if trial.counts and trial.key in keys}
        values = {trial.run_id: _added(trial.tags.get(Tag.SWEEPS, ""), sweep_id) for trial in runs.values()}
        try:
            _note_sweeps(connection, values)
            break
        except MlflowException:  # another sweep notes the same runs at the same instant, which PostgreSQL refuses
            if attempt == _ATTEMPTS:
                raise
            time.sleep(attempt * random.random())


def _note_sweeps(connection: Connection, values: Mapping[str, str]) -> None:
    if isinstance(connection.store, SqlAlchemyStore):
        tags = [{"run_uuid": run_id, "key": Tag.SWEEPS, "value": value} for run_id, value in values.items()]
        with connection.store.ManagedSessionMaker(read_only=False) as session:
            for chunk in chunks(values, SQL_RUNS):
                session.execute(delete(SqlTag).where(SqlTag.key == Tag.SWEEPS, SqlTag.run_uuid.in_(chunk)))
            session.execute(insert(SqlTag.__table__), tags)
    else:
        with ThreadPoolExecutor(_REST_THREADS) as pool:
            for _ in pool.map(lambda run_id: connection.client.set_tag(run_id, Tag.SWEEPS, values[run_id]), values):
                pass


def _added(sweeps: str, sweep_id: str) -> str:
    """The newest ids that a tag holds, this one once."""
    others = [sweep for sweep in sweeps.split() if sweep != sweep_id]
    return " ".join([*others, sweep_id][-_MOST_SWEEPS:])


def _send(connection: Connection, run: TrialRun) -> str:
    client = connection.client
    created = client.create_run(
        connection.experiment_id, start_time=run.start_time, run_name=run.name, tags={**run.tags}
    )
    run_id = str(created.info.run_id)
    params = [Param(key, value) for key, value in run.params.items()]
    client.log_batch(run_id, metrics=run.metrics, params=params, synchronous=True)
    if run.dataset is not None:
        client.log_inputs(run_id, datasets=[run.dataset])
    _write_texts(connection, run_id, run)
    client.set_terminated(run_id, run.status, end_time=run.end_time)
    return run_id


def _write_texts(connection: Connection, run_id: str, run: TrialRun) -> None:
    for name, text in run.texts.items():
        write_text(connection, run_id, name, text)


def _insert(store: SqlAlchemyStore, connection: Connection, runs: Sequence[TrialRun]) -> list[str]:
    experiment_id = int(connection.experiment_id)
    by_id = {uuid.uuid4().hex: run for run in runs}
    rows: dict[type[Any], list[_Row]] = {table: [] for table in (SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric)}
    for run_id, run in by_id.items():
        rows[SqlTag] += _pairs(run_id, {**run.tags, MLFLOW_RUN_NAME: run.name})
        rows[SqlParam] += _pairs(run_id, run.params)
        rows[SqlMetric] += [_metric_row(run_id, metric) for metric in dict.fromkeys(run.metrics)]
        rows[SqlLatestMetric] += [_metric_row(run_id, metric) for metric in _latest(run.metrics)]
    with store.ManagedSessionMaker(read_only=False) as session:
        location = (
            connection.files
            or session.query(SqlExperiment.artifact_location).filter_by(experiment_id=experiment_id).scalar()
        )
        rows[SqlRun] += [_run_row(run_id, run, experiment_id, location) for run_id, run in by_id.items()]
        rows |= _input_rows(session, experiment_id, by_id)
        for table, values in rows.items():  # in an order that foreign keys allow
            if values:
                session.execute(insert(table.__table__), values)
    return [*by_id]


def _pairs(run_id: str, values: Mapping[str, str]) -> list[_Row]:
    return [{"run_uuid": run_id, "key": key, "value": value} for key, value in values.items()]


def _run_row(run_id: str, run: TrialRun, experiment_id: int, location: str) -> _Row:
    """As MLflow's `create_run` and `set_terminated` would have left it."""
    return {
        "run_uuid": run_id,
        "name": run.name,
        "experiment_id": experiment_id,
        "artifact_uri": run_uri(location, run_id),
        "source_type": SourceType.to_string(SourceType.UNKNOWN),
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": run.tags.get(MLFLOW_USER, "unknown"),
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "lifecycle_stage": LifecycleStage.ACTIVE,
    }


def _metric_row(run_id: str, metric: Metric) -> _Row:
    return {
        "run_uuid": run_id,
        "key": metric.key,
        "value": metric.value,
        "timestamp": metric.timestamp,
        "step": metric.step,
        "is_nan": False,
    }


def _latest(metrics: Sequence[Metric]) -> list[Metric]:
    """The one of each key that MLflow shows as the run's."""
    latest: dict[str, Metric] = {}
    for metric in sorted(metrics, key=lambda metric: (metric.step, metric.timestamp, metric.value)):
        latest[metric.key] = metric
    return [*latest.values()]


def _input_rows(session: Session, experiment_id: int, runs: Mapping[str, TrialRun]) -> dict[type[Any], list[_Row]]:
    """The data sets that the store does not know yet, and which run was given which."""
    columns = SqlDataset.name, SqlDataset.digest, SqlDataset.dataset_uuid
    stored: list[Any] = session.query(*columns).filter_by(experiment_id=experiment_id).all()
    dataset_ids = {(name, digest): dataset_id for name, digest, dataset_id in stored}
    rows: dict[type[Any], list[_Row]] = {table: [] for table in (SqlDataset, SqlInput, SqlInputTag)}
    for run_id, run in runs.items():
        if run.dataset is None:
            continue
        dataset, input_id = run.dataset.dataset, uuid.uuid4().hex
        if (dataset.name, dataset.digest) not in dataset_ids:
            dataset_ids[dataset.name, dataset.digest] = uuid.uuid4().hex
            rows[SqlDataset].append(_dataset_row(dataset_ids[dataset.name, dataset.digest], dataset, experiment_id))
        rows[SqlInput].append(
            {
                "input_uuid": input_id,
                "source_type": "DATASET",
                "source_id": dataset_ids[dataset.name, dataset.digest],
                "destination_type": "RUN",
                "destination_id": run_id,
            }
        )
        rows[SqlInputTag] += [{"input_uuid": input_id, "name": tag.key, "value": tag.value} for tag in run.dataset.tags]
    return rows


def _dataset_row(dataset_id: str, dataset: Dataset, experiment_id: int) -> _Row:
    return {
        "dataset_uuid": dataset_id,
        "experiment_id": experiment_id,
        "name": dataset.name,
        "digest": dataset.digest,
        "dataset_source_type": dataset.source_type,
        "dataset_source": dataset.source,
        "dataset_schema": dataset.schema,
        "dataset_profile": dataset.profile,
    }
