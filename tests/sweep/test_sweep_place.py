from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from bnbench.config import Config, ConfigError, TrackingConfig
from bnbench.config.workspace import Workspace
from bnbench.sweep.hydra_session import compose_one
from bnbench.sweep.running.place import describe_place, ready_command


def _config(runs_dir: str = "runs", **tracking: str) -> Config:
    return replace(Config(), runs_dir=runs_dir, tracking=TrackingConfig(**tracking))


def test_where_everything_is_as_usual_a_command_needs_no_words() -> None:
    assert ready_command("ui", Config()) == "python -m bnbench ui"
    assert describe_place(Config()) is None


@pytest.mark.parametrize(
    "config",
    [
        _config("elsewhere"),
        _config("my runs, 50% #1 (it's new)"),
        _config(experiment="a, b"),
        _config(experiment="null"),
        _config(experiment="007"),
        _config(experiment="it's [new] {1} = ~!&*"),
        _config(experiment="Größe"),
        _config(uri="http://127.0.0.1:5000/prefix", experiment="mine"),
        _config(uri="sqlite:////data/my runs/mlflow.db"),
        _config(uri="postgresql://me@host:5432/db?sslmode=require&options=-c%20a"),
    ],
    ids=str,
)
def test_a_command_pasted_into_a_shell_leads_to_where_a_sweep_was_recorded(config: Config) -> None:
    python, m, bnbench, verb, *words = shlex.split(ready_command("ui", config))
    assert [python, m, bnbench, verb] == ["python", "-m", "bnbench", "ui"]
    assert words
    again = compose_one(words)
    assert (again.runs_dir, again.tracking) == (config.runs_dir, config.tracking)


def test_a_password_is_not_printed() -> None:
    config = _config(uri="postgresql://me:hunter22@host/db")
    assert "hunter22" not in ready_command("ui", config) + str(describe_place(config))


def test_mlflow_s_own_variables_are_the_defaults_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter22@host:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    config = compose_one([])
    assert config.tracking == TrackingConfig("http://me:hunter22@host:5000", "theirs")
    assert describe_place(config) == (
        "tracking: http://***@host:5000 (from MLFLOW_TRACKING_URI), experiment theirs (from MLFLOW_EXPERIMENT_NAME)"
    )
    typed = compose_one(["tracking.uri=null", "tracking.experiment=bnbench"])
    assert typed.tracking == TrackingConfig()
    assert shlex.split(ready_command("ui", typed))[4:] == ["tracking.uri=null", "tracking.experiment=bnbench"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    with pytest.raises(ConfigError, match=r"^tracking.uri=mlruns \(from MLFLOW_TRACKING_URI\) is a folder of files"):
        Workspace.of(compose_one([]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
    assert compose_one([]).tracking == TrackingConfig()
