"""The command line in this process, in an empty folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bnbench.__main__ import main


class Answer(NamedTuple):
    """What a command came to: its exit status and the lines it printed."""

    status: int
    out: list[str]
    err: list[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # main sets it; this takes it back afterwards
    return home


@pytest.fixture
def bnbench(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`python -m bnbench WORD …`."""

    def run(*words: str) -> Answer:
        monkeypatch.setattr("sys.argv", ["bnbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capsys.readouterr()
        return Answer(int(exit_.value.code or 0), printed.out.splitlines(), printed.err.splitlines())

    return run


@pytest.fixture
def own_configs(tmp_path: Path) -> Callable[..., Path]:
    """A folder for `--config-dir` with sweep files by their names."""

    def write(**sweeps: str) -> Path:
        folder = tmp_path / "own configs" / "sweep"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sweeps.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder.parent

    return write
