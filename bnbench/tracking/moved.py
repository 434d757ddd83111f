"""Finds a folder of runs again that was moved or copied: MLflow keeps the full path of every file in its database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy import func, literal, or_, update

from bnbench.config.store_address import Address

_PATHS: tuple[tuple[type[Any], str], ...] = (
    (SqlExperiment, "artifact_location"),
    (SqlRun, "artifact_uri"),
    (SqlLoggedModel, "artifact_location"),
    (SqlModelVersion, "source"),
    (SqlModelVersion, "storage_location"),
)


def is_here(store: SqlAlchemyStore, address: Address, experiment_id: str, location: str) -> bool:
    """Whether an experiment's files are in the store's own folder, wherever its database says that they are.

    They are elsewhere on purpose where somebody has made the experiment so: then none of its runs has files here.

    Args:
        store: The open database.
        address: Its address, with the folder that bnbench keeps files in.
        experiment_id: Of the experiment.
        location: What the database says.
    """
    if address.artifacts is None:
        return False
    if location == address.artifacts:
        return True
    there, here = _path(location), _path(address.artifacts)
    if there is None or here is None or there.name != here.name:
        return False
    with store.ManagedSessionMaker() as session:
        runs = {run_id for (run_id,) in session.query(SqlRun.run_uuid).filter_by(experiment_id=int(experiment_id))}
    if here.is_dir() and any(entry.name in runs for entry in here.iterdir()):
        return True
    return not runs and not there.exists()  # no run yet, and the folder that was meant for them has gone


def relocate(store: SqlAlchemyStore, address: Address, location: str) -> None:
    """Have the database say of all files under `location` that they are in the store's own folder.

    MLflow's page, and whoever else reads the database, finds them there. Of a database that several machines share
    that is said only where nothing is left at `location`.
    """
    here, there = address.artifacts, _path(location)
    if here is None or here == location or (address.database is None and there is not None and there.exists()):
        return
    with store.ManagedSessionMaker(read_only=False) as session:
        for table, name in _PATHS:
            column = getattr(table, name)
            inside = func.substr(column, 1, len(location) + 1) == f"{location}/"
            moved = literal(here) + func.substr(column, len(location) + 1)
            session.execute(
                update(table).where(or_(inside, column == location)).values({name: moved}),
                execution_options={"synchronize_session": False},
            )


def _path(location: str) -> Path | None:
    """The folder that an address of files means; None if it is no folder of this machine's."""
    if "://" in location and not location.startswith("file://"):
        return None
    return Path(local_file_uri_to_path(location))  # type: ignore[no-untyped-call]
