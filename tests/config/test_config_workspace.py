from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config import Config, TrackingConfig
from bnbench.config.workspace import Workspace

_NAMES = st.text() | st.sampled_from(["..", "../..", "/etc", "a/../../b", "a\0b", "~", ".", "", "mlflow.db", "x" * 500])


@given(name=_NAMES, id=st.sampled_from(["0a1b2c3d", "..", "/x", ""]))
def test_no_name_of_a_sweep_leads_out_of_runs_dir(name: str, id: str) -> None:
    workspace = Workspace.at(Path("/somewhere/runs"))
    folder = workspace.sweep_folder(name, id)
    assert folder.parent == workspace.runs_dir
    assert folder.resolve().parent == workspace.runs_dir.resolve()
    assert not folder.name.startswith(".")
    assert len(folder.name.encode()) <= 255
    assert "\0" not in folder.name
    assert folder.name not in {"latest", "spool", "cache", "checkpoints", "reproduced", "artifacts", "mlflow.db"}


def test_an_ordinary_name_is_kept() -> None:
    folder = Workspace.at(Path("/runs")).sweep_folder("placement+batch_size", "0a1b2c3d")
    assert folder == Path("/runs/placement+batch_size-0a1b2c3d")


def test_runs_dir_is_the_user_s_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    workspace = Workspace.of(Config())
    assert workspace.cache == tmp_path / "runs" / "cache"
    assert workspace.address.database == tmp_path.resolve() / "runs" / "mlflow.db"
    shared = TrackingConfig(uri="http://host:5000/", experiment="theirs")
    workspace = Workspace.of(Config(runs_dir="~/runs", tracking=shared))
    assert workspace.checkpoints == Path("/home/me/runs/checkpoints")
    assert (workspace.address.uri, workspace.experiment) == ("http://host:5000", "theirs")


def test_the_latest_sweep_s_pointer_moves_from_one_folder_to_the_next(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    for id in "12":
        folder = workspace.sweep_folder("a", id)
        folder.mkdir()
        workspace.point_latest(folder)
        assert workspace.latest.resolve() == folder.resolve()
    assert {path.name for path in tmp_path.iterdir()} == {"a-1", "a-2", "latest"}
