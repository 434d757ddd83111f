from __future__ import annotations

import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base

from bnbench.config.workspace import Workspace
from bnbench.tracking import TrackingError
from bnbench.tracking.store import Store


def _revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
    return str(revision)


def _older(runs_dir: Path, steps: int) -> str:
    """Make a database as an MLflow of some migrations ago did, with something in it; its revision."""
    runs_dir.mkdir(parents=True)
    config = _get_alembic_config(f"sqlite:///{runs_dir}/mlflow.db")
    revision = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][steps]
    engine = create_sqlalchemy_engine(f"sqlite:///{runs_dir}/mlflow.db")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        connection.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'old', 'active')")
        connection.commit()
    return revision


def test_an_older_mlflow_s_database_is_kept_and_that_is_said_before_it_is_brought_up_to_date(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs_dir = tmp_path / "my runs"
    older = _older(runs_dir, steps=30)
    capfd.readouterr()
    for _ in range(2):
        store = Store.open(Workspace.at(runs_dir, experiment="old"), create=False)
    assert store.experiment_id == "7"
    assert _revision(runs_dir / "mlflow.db") != older
    copy = runs_dir / f"mlflow.db.{older}"
    assert _revision(copy) == older
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("old",)]
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith(f"{runs_dir}/mlflow.db was made by an older MLflow")] == said
    assert len(said) == 1, "the second opening has nothing to say"
    assert said[0].endswith(f"is kept in {copy.name}")
    assert {path.name for path in runs_dir.iterdir()} == {"mlflow.db", "mlflow.db.lock", copy.name}


def test_a_newer_mlflow_s_database_is_left_alone_with_advice_that_helps(tmp_path: Path) -> None:
    Store.open(Workspace.at(tmp_path))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    with pytest.raises(TrackingError, match=r"newer MLflow .*revision ffffffffffff.*pip install --upgrade mlflow") as e:
        Store.open(Workspace.at(tmp_path))
    assert "\n" not in str(e.value)
    assert "upgrade <" not in str(e.value)
    assert _revision(tmp_path / "mlflow.db") == "ffffffffffff"


def test_a_database_of_something_else_gets_no_tables(tmp_path: Path) -> None:
    other = tmp_path / "addresses.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")
        connection.commit()
    before = other.read_bytes()
    with pytest.raises(TrackingError, match="a database of something else than MLflow"):
        Store.open(Workspace.at(tmp_path, f"sqlite:///{other}"))
    assert other.read_bytes() == before


def test_the_hint_on_a_deleted_experiment_restores_it(tmp_path: Path) -> None:
    runs_dir = tmp_path / "my runs"
    store = Store.open(Workspace.at(runs_dir, experiment="gone"))
    store._connection.client.delete_experiment(store.experiment_id)
    with pytest.raises(TrackingError, match="was deleted") as caught:
        Store.open(Workspace.at(runs_dir, experiment="gone"))
    hint = str(caught.value).split("`")[1]
    assert shlex.split(hint)[0] == f"MLFLOW_TRACKING_URI=sqlite:///{runs_dir}/mlflow.db"
    hint = hint.replace(" mlflow ", f" {shlex.quote(sys.executable)} -m mlflow ")
    subprocess.run(hint, shell=True, check=True, capture_output=True, cwd=tmp_path)
    assert Store.open(Workspace.at(runs_dir, experiment="gone")).experiment_id == store.experiment_id
