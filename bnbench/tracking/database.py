"""Sees that a database can be used, and that its tables are this MLflow's, before anything is asked of it."""

from __future__ import annotations

import fcntl
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import (
    _get_alembic_config,
    _get_latest_schema_revision,
    _get_schema_version,
    _is_empty_database,
    _upgrade_db,
    create_sqlalchemy_engine,
)
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, text

from bnbench.config.store_address import Address
from bnbench.record.whole_file import draft_of, drafts_of
from bnbench.tracking.errors import TrackingError

_BUSY_SECONDS = 60  # that another program may hold a database
_LOCK = 0x626E62656E6368  # of PostgreSQL's advisory locks, the one that is "bnbench"


@contextmanager
def ready(address: Address) -> Iterator[None]:
    """A database that can be opened, whoever else opens it at this moment; on a server nothing is to be done.

    A SQLite database that is not there is made. Two processes may do so at once, and MLflow's migrations would break
    each other: it happens under a lock beside the file, and in PostgreSQL under one of its own. A file that an older
    MLflow made is brought up to date, which is said before, and a copy of it kept.

    Raises:
        TrackingError: If an older MLflow made another kind of database, or a newer MLflow any kind of it.
        Exception: Whatever SQLAlchemy and the drivers raise where it cannot be opened.
    """
    with _lock(address.database) if address.database else nullcontext():
        if address.database:
            _make(address)
            _check_file(address.database)
        if address.is_server:
            yield
            return
        engine = create_sqlalchemy_engine(address.uri)  # type: ignore[no-untyped-call]
        try:
            with _made_by_one(engine):
                _check_schema(address, engine)
                yield
        finally:
            engine.dispose()


@contextmanager
def _made_by_one(engine: Engine) -> Iterator[None]:
    """Let one process at a time make or change PostgreSQL's tables, on whichever hosts they are."""
    revision = _get_schema_version(engine)  # type: ignore[no-untyped-call]
    if engine.dialect.name != "postgresql" or revision == _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK})
        yield
        connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _LOCK})


@contextmanager
def _lock(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes
        yield


def _make(address: Address) -> None:
    """Make a database that is not there under another name: MLflow cannot go on with one that is half made."""
    database = address.database
    if database is None or database.exists():
        return
    for leftover in drafts_of(database):  # of a process that was killed here
        leftover.unlink()
    with draft_of(database) as draft:
        store = SqlAlchemyStore(f"sqlite:///{draft}", address.artifacts)  # type: ignore[no-untyped-call]
        store.engine.dispose()


def _check_file(database: Path) -> None:
    """Fail at once where MLflow would try a damaged or read-only file for 100 seconds."""
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA schema_version")
        connection.rollback()


def _check_schema(address: Address, engine: Engine) -> None:
    """See that MLflow knows the tables' revision; of an older one, say so and keep a copy, as MLflow would not."""
    revision = _get_schema_version(engine)  # type: ignore[no-untyped-call]
    if revision == _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        return
    if revision is None:
        if not _is_empty_database(engine):  # type: ignore[no-untyped-call]
            raise TrackingError(
                f"tracking.uri={address.shown} is a database of something else than MLflow; give an empty one, or "
                "leave tracking.uri=null for SQLite under runs_dir"
            )
        return
    this_mlflow = f"MLflow {mlflow.__version__}"
    if revision not in _known_revisions():
        raise TrackingError(
            f"tracking.uri={address.shown} was made by a newer MLflow than {this_mlflow}, which does not know its "
            f"tables (revision {revision}); install an MLflow as new as that one (pip install --upgrade mlflow), or "
            "set runs_dir or tracking.uri to another"
        )
    if address.database is None:
        raise TrackingError(
            f"tracking.uri={address.shown} was made by an older MLflow than {this_mlflow} (revision {revision} of its "
            f"tables); keep a copy of it, then run `mlflow db upgrade {shlex.quote(address.shown)}`"
        )
    copy = _free(address.database.with_name(f"{address.database.name}.{revision}"))
    print(
        f"{address.database} was made by an older MLflow: its tables are brought to those of {this_mlflow}, and a copy "
        f"of it as it was is kept in {copy.name}",
        file=sys.stderr,
        flush=True,
    )
    _copy(address.database, copy)
    _upgrade_db(engine)  # type: ignore[no-untyped-call]


def _known_revisions() -> set[str]:
    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))  # type: ignore[no-untyped-call]
    return {script.revision for script in scripts.walk_revisions()}


def _free(path: Path) -> Path:
    """The path, or the first with a number behind it that nothing has taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _copy(database: Path, copy: Path) -> None:
    """Copy a database with what its journal holds; whole once its name can be seen."""
    with (
        draft_of(copy) as draft,
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(draft)) as target,
    ):
        source.backup(target)
