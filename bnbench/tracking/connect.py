"""Opens the tracking store: its folder, its database with all migrations, its experiment."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from bnbench.tracking.address import Address
from bnbench.tracking.errors import NothingRecordedError, TrackingError, one_line

__all__ = ["Connection", "connect", "reported"]

# How patient MLflow is with a server: while it is opened, and afterwards (None: as MLflow is). Its own
# default asks a dead server for 4 minutes; `Drain` keeps the results and asks again by itself.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": ("0", "2"), "MLFLOW_HTTP_REQUEST_TIMEOUT": ("5", None)}
_BUSY_SECONDS = 60  # that another program may hold a database
_NOT_ALLOWED = (401, 403)  # HTTP's: who are you, and not you


@dataclass(frozen=True)
class Connection:
    """An open store and the experiment in it.

    Attributes:
        store: What the client stands on; asked where the client has no way to read many runs at once.
    """

    client: MlflowClient
    store: AbstractStore
    experiment_id: str
    address: Address


def connect(address: Address, *, experiment: str, create: bool) -> Connection:
    """Open the store; with `create`, make what is missing.

    Two processes may open a new SQLite file at once: MLflow's migrations would break each other, so the
    first open happens under a lock beside the file.

    Raises:
        NothingRecordedError: If something is missing and `create` is False.
        TrackingError: If the store cannot be opened.
    """
    if address.database and not (create or address.database.exists()):
        raise NothingRecordedError(
            f"nothing is recorded in {address.database} yet; train something first, or set runs_dir or tracking.uri"
        )
    try:
        with _sqlite_lock(address.database) if address.database else nullcontext():
            if address.database:
                _make_sqlite(address)
                _check_sqlite(address.database)
            elif not address.is_server:
                # MLflow would try for 100 s.
                create_sqlalchemy_engine(address.uri).connect().close()  # type: ignore[no-untyped-call]
            with _probing() if address.is_server else nullcontext():
                client = MlflowClient(address.uri)
                experiment_id = _experiment(client, experiment, address, create)
    except TrackingError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, alembic and each database driver have kinds of their own
        raise TrackingError(_cannot_open(address, error)) from error
    return Connection(client, client._tracking_client.store, experiment_id, address)


@contextmanager
def reported(address: Address) -> Iterator[None]:
    """Errors of an open store, as `TrackingError`."""
    try:
        yield
    except (MlflowException, OSError) as error:  # requests' errors are OSErrors
        raise TrackingError(f"tracking.uri={address.shown} did not do as asked: {_cause(error)}") from error


def _cannot_open(address: Address, error: Exception) -> str:
    if isinstance(error, MlflowException) and error.get_http_status_code() in _NOT_ALLOWED:  # type: ignore[no-untyped-call]
        hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of an account that may write"
    elif address.is_server:
        hint = "start the server, or leave tracking.uri=null for SQLite under runs_dir"
    elif isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        hint = "end the program that holds it, or set runs_dir or tracking.uri to another"
    elif address.database:
        hint = "set runs_dir or tracking.uri to a place that can be written"
    else:
        hint = "see that the database runs and its Python driver is installed"
    return f"tracking.uri={address.shown} cannot be used ({_cause(error)}); {hint}"


def _cause(error: BaseException) -> str:
    """The system's own words where there are any: MLflow and urllib3 wrap them in a page of text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return one_line(error)


@contextmanager
def _sqlite_lock(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes
        yield


def _make_sqlite(address: Address) -> None:
    """Make a database that is not there under another name: MLflow cannot go on with one it has half made."""
    database = address.database
    if database is None or database.exists():
        return
    draft = database.with_name(f"{database.name}.new")
    for left in (draft, draft.with_name(f"{draft.name}-journal")):  # of a process that was killed here
        left.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"sqlite:///{draft}", address.artifacts)  # type: ignore[no-untyped-call]
    store.engine.dispose()
    os.replace(draft, database)


def _check_sqlite(database: Path) -> None:
    """Fail at once where MLflow would try a damaged or read-only file for 100 seconds."""
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA schema_version")
        connection.rollback()


@contextmanager
def _probing() -> Iterator[None]:
    """Short patience with a server that has not answered yet; what the user has set stays."""
    own = [name for name, (_, later) in _PATIENCE.items() if os.environ.get(name) in {None, later}]
    try:
        os.environ.update({name: _PATIENCE[name][0] for name in own})
        yield
    finally:
        for name in own:
            del os.environ[name]
            if later := _PATIENCE[name][1]:
                os.environ[name] = later


def _experiment(client: MlflowClient, name: str, address: Address, create: bool) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        if not create:
            raise NothingRecordedError(f"tracking.experiment={name} is not in {address.shown}; train something first")
        try:
            return str(client.create_experiment(name, artifact_location=address.artifacts))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process may have been faster
            if found is None:
                raise
    if found.lifecycle_stage == LifecycleStage.DELETED:
        raise TrackingError(
            f"tracking.experiment={name} was deleted in {address.shown}; choose another name, "
            f"or restore it with `mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)
