"""Reads and writes the files of runs: in the store's own folder, even where its database names an older place."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.uri import append_to_uri_path

from bnbench.tracking.connect import Connection
from bnbench.tracking.errors import TrackingError, one_line


def write_text(connection: Connection, run_id: str, name: str, text: str) -> None:
    """Keep a text with a run, as a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        write_paths(connection, run_id, [path])


def write_paths(connection: Connection, run_id: str, paths: Iterable[Path]) -> None:
    """Keep files with a run, and folders with all they hold."""
    repository = _repository(connection, connection.client.get_run(run_id))
    for path in paths:
        if path.is_dir():
            repository.log_artifacts(str(path), path.name)  # type: ignore[no-untyped-call]
        else:
            repository.log_artifact(str(path))  # type: ignore[no-untyped-call]


def read_files(connection: Connection, run: Run) -> dict[str, bytes]:
    """All files of a run by their names, those in folders with a slash in it."""
    repository = _repository(connection, run)
    folders, contents = [""], {}
    with tempfile.TemporaryDirectory() as temporary:
        for folder in folders:  # grows as it is read
            for file in repository.list_artifacts(folder or None):
                if file.is_dir:
                    folders.append(file.path)
                else:
                    path = repository.download_artifacts(file.path, temporary)  # type: ignore[no-untyped-call]
                    contents[file.path] = Path(path).read_bytes()
    return contents


def read_json(connection: Connection, run: Run, name: str) -> Any:
    """A JSON file among a run's.

    Raises:
        TrackingError: If it is not where the store says.
    """
    repository = _repository(connection, run)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if isinstance(repository, LocalArtifactRepository):
                path = repository.get_local_path(name)
            else:
                path = repository.download_artifacts(name, folder)  # type: ignore[no-untyped-call]
            return json.loads(Path(path).read_text(encoding="utf-8"))
        except (MlflowException, OSError) as error:
            raise TrackingError(
                f"run {run.info.run_name} has no readable {name} in {repository.artifact_uri} ({one_line(error)}); "
                "put the folder that was there back"
            ) from error


def _repository(connection: Connection, run: Run) -> ArtifactRepository:
    uri = run.info.artifact_uri
    if connection.files is not None:
        uri = run_uri(connection.files, run.info.run_id)
    return get_artifact_repository(uri, tracking_uri=connection.address.uri)


def run_uri(files: str, run_id: str) -> str:
    """Where MLflow keeps a run's files under an experiment's folder."""
    return str(
        append_to_uri_path(files, run_id, SqlAlchemyStore.ARTIFACTS_FOLDER_NAME)  # type: ignore[no-untyped-call]
    )
