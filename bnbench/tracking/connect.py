"""Opens the tracking store: its folder, its database with all migrations, its experiment."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from bnbench.config.store_address import Address
from bnbench.config.workspace import Workspace
from bnbench.tracking.database import ready
from bnbench.tracking.errors import NothingRecordedError, TrackingError, one_line
from bnbench.tracking.moved import is_here, relocate

# How patient MLflow is with a server: while it is opened, and afterwards (None: as MLflow is). Its own
# default asks a dead server for 4 minutes; `Drain` keeps the results and asks again by itself.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": ("0", "2"), "MLFLOW_HTTP_REQUEST_TIMEOUT": ("5", None)}
_NOT_ALLOWED = (401, 403)  # HTTP's: not logged in, and not allowed
_REFUSED_NAME = "Invalid Host header"  # MLflow's answer to a request for a name that it is not allowed to have
_DRIVERS = {"postgresql": " (psycopg 3: pip install 'psycopg[binary]' 'sqlalchemy>=2.1')"}


@dataclass(frozen=True)
class Connection:
    """An open store and the experiment in it.

    Attributes:
        store: What the client stands on; asked where the client has no way to read many runs at once.
        files: The folder of the experiment's files, if it is in the store's own; None where only the store knows it.
    """

    client: MlflowClient
    store: AbstractStore
    experiment_id: str
    address: Address
    files: str | None = None


def connect(workspace: Workspace, *, create: bool) -> Connection:
    """Open the store; with `create`, make what is missing, and see that the database knows where its files are.

    Raises:
        NothingRecordedError: If something is missing and `create` is False.
        TrackingError: If the store cannot be opened.
    """
    address, experiment = workspace.address, workspace.experiment
    if address.database and not (create or address.database.exists()):
        raise NothingRecordedError(
            f"nothing is recorded in {address.database} yet; train something first, or set runs_dir or tracking.uri"
        )
    try:
        with ready(address), _probing() if address.is_server else nullcontext():
            client = MlflowClient(address.uri)
            experiment_id, location = _experiment(client, experiment, address, create)
            store = client._tracking_client.store
            files = None
            if isinstance(store, SqlAlchemyStore) and is_here(store, address, experiment_id, location):
                files = address.artifacts
    except TrackingError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, alembic and each database driver have kinds of their own
        raise TrackingError(_cannot_open(address, error)) from error
    connection = Connection(client, store, experiment_id, address, files)
    if create:
        with reported(address):
            show_files_here(connection)
    return connection


def show_files_here(connection: Connection) -> None:
    """See that MLflow's page finds the experiment's files in the store's own folder, if that is where they are."""
    if connection.files is not None and isinstance(connection.store, SqlAlchemyStore):
        location = connection.client.get_experiment(connection.experiment_id).artifact_location
        relocate(connection.store, connection.address, location)


@contextmanager
def reported(address: Address) -> Iterator[None]:
    """Raise errors of an open store as `TrackingError`."""
    try:
        yield
    except (MlflowException, OSError) as error:  # requests' errors are OSErrors
        raise TrackingError(f"tracking.uri={address.shown} did not do as asked: {_cause(error)}") from error


def _cannot_open(address: Address, error: Exception) -> str:
    if address.is_server and _REFUSED_NAME in str(error):
        hint = (
            "the server does not answer to this name: use one that it allows, or start it with this one, and its port, "
            "in --allowed-hosts (MLFLOW_SERVER_ALLOWED_HOSTS)"
        )
    elif isinstance(error, MlflowException) and error.get_http_status_code() in _NOT_ALLOWED:  # type: ignore[no-untyped-call]
        hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of an account that may write"
    elif address.is_server:
        hint = "start the server, or leave tracking.uri=null for SQLite under runs_dir"
    elif isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        hint = "end the program that holds it, or set runs_dir or tracking.uri to another"
    elif address.database:
        hint = "set runs_dir or tracking.uri to a place that can be written"
    else:
        hint = f"see that the database runs and its Python driver is installed{_DRIVERS.get(address.kind, '')}"
    return f"tracking.uri={address.shown} cannot be used ({_cause(error)}); {hint}"


def _cause(error: BaseException) -> str:
    """The operating system's message where there is one, for MLflow and urllib3 wrap it in a page of text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return one_line(error)


@contextmanager
def _probing() -> Iterator[None]:
    """Wait only briefly for a server that has not answered yet; what the user has set stays."""
    changed = [name for name, (_, later) in _PATIENCE.items() if os.environ.get(name) in {None, later}]
    try:
        os.environ.update({name: _PATIENCE[name][0] for name in changed})
        yield
    finally:
        for name in changed:
            del os.environ[name]
            if later := _PATIENCE[name][1]:
                os.environ[name] = later


def _experiment(client: MlflowClient, name: str, address: Address, create: bool) -> tuple[str, str]:
    """The experiment's id, and where the store says that its files are."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        if not create:
            raise NothingRecordedError(f"tracking.experiment={name} is not in {address.shown}; train something first")
        try:
            experiment = client.get_experiment(client.create_experiment(name, artifact_location=address.artifacts))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another process may have been faster
            if experiment is None:
                raise
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise TrackingError(
            f"tracking.experiment={name} was deleted in {address.shown}; choose another name, or restore it with "
            f"`MLFLOW_TRACKING_URI={shlex.quote(address.shown)} mlflow experiments restore --experiment-id "
            f"{experiment.experiment_id}`"
        )
    return str(experiment.experiment_id), str(experiment.artifact_location)
