"""Turns `tracking.uri` into the address of a store, before anything is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bnbench.config.schema import ConfigError
from bnbench.record.redaction import redacted

_CHOICES = (
    "leave tracking.uri=null for SQLite under runs_dir, or give sqlite:////absolute/path/mlflow.db, "
    "postgresql://host/database, mysql://host/database or http://host:port"
)
_SERVERS = {"http", "https"}
_DATABASES = {"postgresql", "mysql", "mssql"}


@dataclass(frozen=True)
class Address:
    """Where results are recorded.

    Attributes:
        uri: What MLflow is given, absolute.
        database: The SQLite file; None for any other kind of store.
        artifacts: Where an experiment made by this program keeps its files; None lets the server decide.
    """

    uri: str
    database: Path | None
    artifacts: str | None

    @classmethod
    def resolve(cls, uri: str | None, runs_dir: Path) -> Address:
        """The address for what stands in the configuration.

        Args:
            uri: `tracking.uri`; None is SQLite under `runs_dir`.
            runs_dir: The folder for everything written.

        Raises:
            ConfigError: If this is not a store that can be used.
        """
        runs_dir = runs_dir.resolve()
        if uri is None:
            return cls._sqlite(runs_dir / "mlflow.db")
        setting = f"tracking.uri={redacted(uri)}"
        if uri == os.environ.get("MLFLOW_TRACKING_URI"):
            setting += " (from MLFLOW_TRACKING_URI)"
        scheme, separator, rest = uri.partition("://")
        kind = scheme.partition("+")[0]
        if scheme == "sqlite" and rest.startswith("/") and rest not in {"/", "/:memory:"}:
            return cls._sqlite(Path(rest[1:]).resolve())
        if kind in _DATABASES and rest:
            return cls(uri, None, (runs_dir / "artifacts").as_uri())
        if scheme in _SERVERS and rest.strip("/"):
            return cls(uri.rstrip("/"), None, None)
        if scheme == "file" or uri.startswith("file:") or not separator:
            raise ConfigError(f"{setting} is a folder of files, a kind of store that MLflow has closed; {_CHOICES}")
        raise ConfigError(f"{setting} is not the address of a tracking store; {_CHOICES}")

    @classmethod
    def _sqlite(cls, database: Path) -> Address:
        if "?" in str(database):  # SQLAlchemy would cut the path there
            raise ConfigError(
                f"{database} cannot be a database's path; set runs_dir or tracking.uri to one without '?'"
            )
        return cls(f"sqlite:///{database}", database, (database.parent / "artifacts").as_uri())

    @property
    def kind(self) -> str:
        """What answers there, without its driver: "sqlite", "postgresql" or "http", say."""
        return self.uri.partition("://")[0].partition("+")[0]

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server rather than a database."""
        return self.kind in _SERVERS

    @property
    def shown(self) -> str:
        """The address without its password, for messages and records."""
        return redacted(self.uri)
