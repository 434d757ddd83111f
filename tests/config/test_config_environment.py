from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import bnbench
from bnbench.config.environment import git_state, hardware, versions


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_versions_name_what_numbers_pass_through() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["bnbench"] == bnbench.__version__
    assert {"torch", "mlflow", "numpy"} <= found.keys()


def test_git_state_is_the_commit_and_whether_anything_differs_from_it(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}
    _git(tmp_path, "init", "--initial-branch=work")
    assert git_state(tmp_path) == {}
    (tmp_path / "a").write_text("1")
    _git(tmp_path, "add", "a")
    _git(tmp_path, "commit", "-m", "a")
    commit = _git(tmp_path, "rev-parse", "HEAD")
    clean = {"commit": commit, "dirty": False, "branch": "work"}
    assert git_state(tmp_path) == clean
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {**clean, "dirty": True}
    _git(tmp_path, "remote", "add", "origin", "https://me:hunter22@example.org/bnbench.git")
    assert git_state(tmp_path)["remote"] == "https://***@example.org/bnbench.git"
    assert git_state(tmp_path / "nowhere") == {}


def test_hardware_names_a_processor_its_cores_and_its_memory() -> None:
    found = hardware()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
