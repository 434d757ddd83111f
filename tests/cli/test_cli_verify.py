"""`verify` on the command line: real workers, a last line, and an exit status that a script can use."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]


def test_a_sweep_is_verified_and_a_changed_digit_is_not_overlooked(
    folder: Path, bnbench: Command, tmp_path: Path
) -> None:
    words = ["data=digits", "model=fc", "norm=none,batch", "optimizer.lr=0.1,1e30", "seed=0,1", "training.steps=9"]
    assert bnbench(*words, "hydra.launcher.n_jobs=1").status == 0
    database = folder / "runs" / "mlflow.db"
    done = subprocess.run(
        [sys.executable, "-m", "bnbench", "verify"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("trial-")
    assert "4 of 8 recorded trials, each alone, about " in lines[0]
    assert [line.partition(" of ")[0] for line in lines[1:-1]] == ["1", "2", "3", "4"]
    assert all(": same: " in line for line in lines[1:-1])
    assert any("diverged at step" in line for line in lines)
    assert lines[-1] == "4 of 4 trials retrained alone gave the same digits"

    copy = tmp_path / "copy.db"
    shutil.copy(database, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("update metrics set value = value * (1 + 1e-15) where key = 'val/loss' and step = 0")
    answer = bnbench("verify", "trial", "--sample", "1", f"tracking.uri=sqlite:///{copy}")
    assert answer.status == 1
    assert answer.out[-1] == "0 of 1 trial retrained alone gave the same digits"
    assert any(line.strip().startswith("val/loss at step 0: recorded ") for line in answer.out)
    assert len(answer.err) == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--sample", "0"], ["--sample 0", "a whole number >= 1, or all"]),
        (["--sample=some"], ["--sample some", "a whole number >= 1, or all"]),
        (["--sample"], ["verify argument --sample: expected one argument", "allowed: verify [SWEEP]"]),
        (["placement", "norm_kind"], ["verify norm_kind is not understood"]),
        (["placement", "model=fc"], ["verify model=fc is not understood"]),
        ([], ["nothing is recorded in", "mlflow.db"]),
    ],
)
def test_what_cannot_be_done_is_answered_in_one_line(
    words: list[str], parts: list[str], bnbench: Command, folder: Path
) -> None:
    answer = bnbench("verify", *words)
    assert (answer.status, answer.out, len(answer.err)) == (2, [], 1)
    for part in parts:
        assert part in answer.err[0]
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--sample", "0"], ["--sample 0", "a whole number >= 1, or all"]),
        (["--into"], ["reproduce argument --into: expected one argument", "allowed: reproduce [manifest.json|SWEEP]"]),
        (["placement", "norm_kind"], ["reproduce norm_kind is not understood"]),
        (["placement", "seed=3"], ["reproduce seed=3 is not understood"]),
        (["nowhere.json"], ["nowhere.json cannot be read with trials.csv and curves.csv beside it"]),
        ([], ["nothing is recorded in", "mlflow.db"]),
    ],
)
def test_what_cannot_be_reproduced_is_answered_in_one_line(
    words: list[str], parts: list[str], bnbench: Command, folder: Path
) -> None:
    answer = bnbench("reproduce", *words)
    assert (answer.status, answer.out, len(answer.err)) == (2, [], 1)
    for part in parts:
        assert part in answer.err[0]
    assert [*folder.iterdir()] == []
