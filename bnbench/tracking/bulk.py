"""Reads thousands of runs at once.

MLflow's `search_runs` builds every param, tag and metric of every run: 3 ms a run. Databases are therefore
asked for the columns that matter (0.1 ms a run); servers offer no such way, so there it is `search_runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mlflow.entities import Run
from mlflow.store.tracking.dbmodels.models import SqlMetric, SqlRun, SqlTag
from mlflow.store.tracking.rest_store import RestStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID
from mlflow.utils.rest_utils import http_request, verify_rest_response

from bnbench.record.names import CONDITIONS, Tag, is_curve
from bnbench.tracking.connect import Connection
from bnbench.tracking.tags import DIVERGED_STEP

_TERMINATED = ("FINISHED", "FAILED")
_KEPT = (
    Tag.DATA_CHECKSUM,
    Tag.SWEEPS,
    Tag.ALONE,
    Tag.SWEEP_ID,
    Tag.VERSIONS,
    Tag.CPU,
    MLFLOW_GIT_COMMIT,
    *CONDITIONS,
)
_TAGS = (Tag.KEY, Tag.STATUS, Tag.REASON, DIVERGED_STEP, MLFLOW_PARENT_RUN_ID, *_KEPT)
_REST_PAGE = 5000
_REST_HISTORIES = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"  # the UI's own: 7 times faster than run by run
_REST_RUNS = 100  # its limits
_REST_POINTS = 25_000

SQL_RUNS = 500
"""Run ids in one statement."""

Point = tuple[str, str, int, float]
"""Run id, metric key, step, value."""


@dataclass(frozen=True)
class RecordedTrial:
    """A terminated run of a trial.

    Attributes:
        counts: Whether it is a result, rather than a failure to be tried again.
        time: Start and end in milliseconds; the later of two runs is the one that counts.
        tags: By key, those of data, conditions, versions and the sweeps that list it, as far as the run has them.
        sweep_run_id: The run of the sweep that trained it, or None.
    """

    run_id: str
    key: str
    status: str
    reason: str
    diverged_step: int | None
    counts: bool
    time: tuple[int, int]
    tags: dict[str, str]
    sweep_run_id: str | None


def recorded_trials(connection: Connection) -> list[RecordedTrial]:
    """Every terminated trial, the latest last; half-written runs are not terminated."""
    if isinstance(connection.store, SqlAlchemyStore):
        trials = _sql_trials(connection.store, connection.experiment_id)
    else:
        trials = _rest_trials(connection)
    return sorted(trials, key=lambda trial: trial.time)


def recorded_points(connection: Connection, run_ids: list[str]) -> Iterator[Point]:
    """Every value of every metric of these runs, in no particular order."""
    if isinstance(connection.store, SqlAlchemyStore):
        return _sql_points(connection.store, run_ids)
    return _rest_points(connection, run_ids)


def _trial(run_id: str, run_status: str, start: int, end: int | None, tags: Mapping[str, str]) -> RecordedTrial:
    step = tags.get(DIVERGED_STEP)
    return RecordedTrial(
        run_id=run_id,
        key=tags[Tag.KEY],
        status=tags[Tag.STATUS],
        reason=tags.get(Tag.REASON, ""),
        diverged_step=None if step is None else int(step),
        counts=run_status == "FINISHED" and tags[Tag.STATUS] != "failed",
        time=(start, end or start),
        tags={key: tags[key] for key in _KEPT if key in tags},
        sweep_run_id=tags.get(MLFLOW_PARENT_RUN_ID),
    )


def _sql_trials(store: SqlAlchemyStore, experiment_id: str) -> Iterator[RecordedTrial]:
    wanted = (
        SqlRun.experiment_id == int(experiment_id),
        SqlRun.lifecycle_stage == "active",
        SqlRun.status.in_(_TERMINATED),
    )
    with store.ManagedSessionMaker() as session:
        runs = session.query(SqlRun.run_uuid, SqlRun.status, SqlRun.start_time, SqlRun.end_time).filter(*wanted).all()
        rows = (
            session.query(SqlTag.run_uuid, SqlTag.key, SqlTag.value)
            .join(SqlRun, SqlRun.run_uuid == SqlTag.run_uuid)
            .filter(*wanted, SqlTag.key.in_(_TAGS))
            .all()
        )
    tags: dict[str, dict[str, str]] = {}
    for run_id, key, value in rows:
        tags.setdefault(run_id, {})[key] = value
    for run_id, status, start, end in runs:
        if Tag.KEY in tags.get(run_id, {}):
            yield _trial(run_id, status, start, end, tags[run_id])


def _sql_points(store: SqlAlchemyStore, run_ids: list[str]) -> Iterator[Point]:
    for chunk in chunks(run_ids, SQL_RUNS):
        with store.ManagedSessionMaker() as session:
            rows = (
                session.query(SqlMetric.run_uuid, SqlMetric.key, SqlMetric.step, SqlMetric.value)
                .filter(SqlMetric.run_uuid.in_(chunk))
                .all()
            )
        yield from map(tuple, rows)


def _rest_trials(connection: Connection) -> Iterator[RecordedTrial]:
    for run in _rest_runs(connection, f"tags.`{Tag.KIND}` = 'trial'"):
        if run.info.status in _TERMINATED:
            yield _trial(run.info.run_id, run.info.status, run.info.start_time, run.info.end_time, run.data.tags)


def _rest_points(connection: Connection, run_ids: list[str]) -> Iterator[Point]:
    for chunk in chunks(run_ids, _REST_RUNS):
        ids = ", ".join(f"'{run_id}'" for run_id in chunk)
        curves: dict[str, None] = {}
        for run in _rest_runs(connection, f"attributes.run_id IN ({ids})"):
            for metric in run.data._metric_objs:
                if is_curve(metric.key):
                    curves[metric.key] = None
                else:
                    yield run.info.run_id, metric.key, metric.step, metric.value
        for key in curves:
            yield from _rest_curves(connection, chunk, key)


def _rest_curves(connection: Connection, run_ids: list[str], key: str) -> Iterator[Point]:
    """One request for many runs; an answer as long as its limit was cut, and is asked for in halves."""
    store = connection.store
    assert isinstance(store, RestStore)
    asked = [("metric_key", key), ("max_results", _REST_POINTS), *(("run_id", run_id) for run_id in run_ids)]
    answer = http_request(  # type: ignore[no-untyped-call]
        store.get_host_creds(), _REST_HISTORIES, "GET", params=asked
    )
    metrics = verify_rest_response(answer, _REST_HISTORIES).json()["metrics"]
    if len(metrics) < _REST_POINTS:
        yield from ((m["run_id"], key, m["step"], m["value"]) for m in metrics)
    elif len(run_ids) == 1:
        history = connection.client.get_metric_history(run_ids[0], key)  # page by page
        yield from ((run_ids[0], key, m.step, m.value) for m in history)
    else:
        half = len(run_ids) // 2
        yield from _rest_curves(connection, run_ids[:half], key)
        yield from _rest_curves(connection, run_ids[half:], key)


def _rest_runs(connection: Connection, filter_string: str) -> Iterator[Run]:
    token: str | None = None
    while True:
        page = connection.client.search_runs(
            [connection.experiment_id], filter_string=filter_string, max_results=_REST_PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """The values in lists of at most `size`."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
