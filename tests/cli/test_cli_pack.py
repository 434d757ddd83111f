"""A sweep goes to a colleague as one file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import bnbench as package

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]


def test_a_sweep_that_was_packed_is_loaded_reported_and_verified_where_it_never_was(
    bnbench: Command, folder: Path
) -> None:
    words = ("data=digits", "model.width=8", "norm=none,batch", "seed=0", "training.steps=6")
    assert bnbench(*words, "hydra.launcher.n_jobs=1", "runs_dir=mine").status == 0
    before = _trials("mine")
    title = (folder / "mine" / "latest").readlink().name
    packed = bnbench("pack", "trial", "runs_dir=mine")
    assert (packed.status, packed.err) == (0, [])
    assert packed.out[0].startswith(f"{title}: 2 of 2 trials, ")
    assert packed.out[0].endswith(f"MiB in {title}.zip")
    refused = bnbench("pack", "trial", "runs_dir=mine")
    assert (refused.status, refused.err) == (2, [f"{title}.zip exists; remove it, or name another file with --to"])
    shutil.rmtree(folder / "mine")
    for added in ("recorded: 2 trials added, 0 known before", "was here already: 0 trials added, 2 known before"):
        loaded = bnbench("load", f"{title}.zip", "runs_dir=theirs")
        assert (loaded.status, loaded.err) == (0, [])
        assert loaded.out == [
            f"{title} {added}",
            f"report: {folder}/theirs/{title}/report.html",
            f"charts: python -m bnbench ui {title} runs_dir=theirs",
        ]
    assert (folder / "theirs" / "latest" / "manifest.json").exists()
    pd.testing.assert_frame_equal(_trials("theirs"), before)
    assert bnbench("report", "runs_dir=theirs").status == 0
    verified = bnbench("verify", "--sample=1", "runs_dir=theirs")
    assert (verified.status, verified.out[-1]) == (0, "1 of 1 trial retrained alone gave the same digits")
    again = bnbench(*words, "hydra.launcher.n_jobs=1", "runs_dir=theirs", "plan_only=true")
    assert "2 finished before" in again.out[-1]
    assert not (folder / "mine").exists()


def _trials(runs_dir: str) -> pd.DataFrame:
    return package.load("latest", f"runs_dir={runs_dir}").trials


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["load"], "load needs a file; allowed: load FILE"),
        (["load", "a.zip", "b.zip"], "load b.zip is not understood; allowed"),
        (["load", "a.zip"], "a.zip does not exist; give a file that `python -m bnbench pack` wrote"),
        (["load", "--help-me"], "load --help-me is not understood"),
        (["pack", "a", "b"], "pack b is not understood; allowed: pack [SWEEP] [--to FILE]"),
        (["pack", "--to"], "pack argument --to: expected one argument"),
        (["pack"], "nothing is recorded in"),
    ],
)
def test_bad_words_are_answered_in_one_line(words: list[str], said: str, bnbench: Command, folder: Path) -> None:
    answer = bnbench(*words)
    assert answer.status == 2
    [line] = answer.err
    assert said in line
    assert [*folder.rglob("*")] == []
