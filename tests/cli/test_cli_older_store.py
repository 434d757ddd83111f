"""A store that bnbench 0.1.0 wrote before records had types is read, reported, gone on with and verified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
import torch

from bnbench.config import environment

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

# Batch norm before and after the activation, 2 seeds each. `store.zip` is a `runs_dir` with the database and the
# sweep's plan, `packed.zip` what `pack` wrote of it, and the other files are of the report: all as they were written,
# but for the names of user, host and folder.
_RECORD = Path(__file__).parents[1] / "tracking" / "data" / "first_steps"
_TITLE = "first_steps-ededfe79"
_MANIFEST: dict[str, Any] = json.loads((_RECORD / "manifest.json").read_text())

_LATER = {"looks": [], "margin": None}
"""What later versions record of a sweep's plan, as it is of this one."""

# Keys of trials are made of these two; another of either trains anew, on purpose.
_same_keys = pytest.mark.skipif(
    any(_MANIFEST["versions"][name] != environment.versions()[name] for name in ("numerics", "torch")),
    reason="recorded by another torch or other numerics",
)


@pytest.fixture
def older(folder: Path) -> Path:
    with ZipFile(_RECORD / "store.zip") as file:
        file.extractall(folder / "runs")
    return folder / "runs"


def test_it_is_loaded_and_reported_to_the_same_bytes(bnbench: Command, older: Path) -> None:
    answer = bnbench("report", "--format=csv,md", "first_steps")
    assert (answer.status, answer.err) == (0, [])
    for name in ("trials.csv", "curves.csv"):
        assert (older / _TITLE / name).read_bytes() == (_RECORD / name).read_bytes()
    written = json.loads((older / _TITLE / "manifest.json").read_text())
    assert written.pop("tracking_uri") == f"sqlite:///{older}/mlflow.db"
    assert {key: written.pop(key) for key in _LATER} == _LATER
    assert written.pop("default_targets") == []
    assert written["conditions"].pop("cpu") == [_MANIFEST["hardware"]["cpu"]], "torch trained them"
    assert written == {key: value for key, value in _MANIFEST.items() if key != "tracking_uri"}


def test_its_status_is_told(bnbench: Command, older: Path) -> None:
    answer = bnbench("status", "latest")
    assert answer.status == 0
    assert answer.out[0] == f"{_TITLE}: finished; started {_MANIFEST['created']}"
    assert [line.split() for line in answer.out[2:]] == [
        ["before", "2", "-", "-", "-"],
        ["after", "2", "-", "-", "-"],
        ["all", "4", "-", "-", "-"],
    ]


@_same_keys
def test_a_sweep_of_more_seeds_reuses_its_trials(bnbench: Command, older: Path) -> None:
    words = [word for word in _MANIFEST["command"][3:] if not word.startswith("seed=")]
    planned = bnbench(*words, "seed=range(3)", "plan_only=true")
    assert (planned.status, planned.err) == (0, [])
    assert planned.out[-1].startswith("6 trials (0 duplicates dropped, 4 finished before, 0 undefined)")
    same = bnbench(*words, "seed=range(2)", "hydra.launcher.n_jobs=1")
    assert (same.status, same.err) == (0, [])
    assert (older / "latest" / "trials.csv").read_bytes() == (_RECORD / "trials.csv").read_bytes()
    earlier = json.loads((older / "latest" / "manifest.json").read_text())["earlier"]
    assert [sweep["id"] for sweep in earlier] == ["ededfe79"]


@_same_keys
def test_its_trials_are_trained_again_and_compared(bnbench: Command, older: Path) -> None:
    verified = bnbench("verify", "first_steps", "--sample=1")
    shutil.copytree(_RECORD, older.parent / "report")
    [*_, said] = reproduced = bnbench("reproduce", "report/manifest.json", "--sample=1", "hydra.launcher.n_jobs=1").out
    then = (_MANIFEST["hardware"]["cpu"], _MANIFEST["conditions"]["cpu_capability"])
    if then != (environment.hardware()["cpu"], [torch.backends.cpu.get_cpu_capability()]):
        assert any(line.startswith("CPU") for line in reproduced)  # it says that kernels may round otherwise here
        return
    assert verified.out[-1] == "1 of 1 trial retrained alone gave the same digits"
    assert said == "identical"


def test_what_it_packed_is_loaded(bnbench: Command, folder: Path) -> None:
    shutil.copy(_RECORD / "packed.zip", folder)
    loaded = bnbench("load", "packed.zip")
    assert (loaded.status, loaded.err) == (0, [])
    assert loaded.out[0] == f"{_TITLE} recorded: 4 trials added, 0 known before"
    assert bnbench("report", "--format=csv").status == 0
    assert (folder / "runs" / _TITLE / "trials.csv").read_bytes() == (_RECORD / "trials.csv").read_bytes()
    packed = bnbench("pack", "first_steps", "--to", "again.zip")
    assert packed.out[0].startswith(f"{_TITLE}: 4 of 4 trials")
    with ZipFile(folder / "again.zip") as again, ZipFile(_RECORD / "packed.zip") as before:
        for name in ("bnbench.json", "trials.jsonl"):
            assert again.read(name) == before.read(name)
        now, then = (json.loads(file.read("sweep.json")) for file in (again, before))
    del then["meta"]["wall_seconds"]  # of what was found out later, and null in a plan
    assert (now["meta"], now["trials"]) == ({**then["meta"], **_LATER}, then["trials"])
