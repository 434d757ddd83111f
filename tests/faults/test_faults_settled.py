"""Killed in the middle of any look, a sweep that goes on until it is settled ends as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from conftest import Running, Start, Store

StoreIn = Callable[[Path], "Store"]

# Batch norm is ahead by about the margin, so that the sweep goes to its third look; tuned, both levels do best at the
# upper end of their grids. Packs are narrow, so that a part of a look can be recorded.
_WORDS = (
    "data=digits",
    "model=fc",
    "norm=none,batch",
    "training.steps=60",
    "training.max_pack=4",
    "sweep.until=settled",
    "sweep.margin_pp=48",
    "sweep.max_seeds=24",
)
_TUNING = ("optimizer.lr=0.2,0.4", "sweep.tuning_seeds=[100,101,102]")
_FILES = ("trials.csv", "curves.csv", "differences.csv", "arms.csv")


class Kill(NamedTuple):
    """When a sweep is killed: once so many of its trials are recorded and it has said so."""

    trials: int
    said: str = ""

    def is_due(self, sweep: Running, store: Store) -> bool:
        return self.said in sweep.said and store.finished() >= self.trials


_LAST_LOOK = "look at 24 pairs"


@pytest.mark.parametrize(
    ("more", "kills", "trials"),
    [
        (("optimizer.lr=0.4", "hydra.launcher.n_jobs=1"), [Kill(22)], 48),
        pytest.param(
            (*_TUNING, "hydra.launcher.n_jobs=2"),
            [Kill(4), Kill(14), Kill(20), Kill(40), Kill(52), Kill(66, _LAST_LOOK)],
            66,
            marks=pytest.mark.faults,
        ),
        pytest.param(
            ("optimizer.lr=0.4", "hydra.launcher.n_jobs=2"),
            [Kill(4), Kill(22), Kill(34), Kill(48, _LAST_LOOK)],
            48,
            marks=pytest.mark.faults,
        ),
    ],
    ids=["second look", "tuning, each look and report", "each look and report"],
)
def test_killed_in_the_middle_of_a_look_it_goes_on_to_the_same_files(
    more: tuple[str, ...], kills: list[Kill], trials: int, start: Start, store_in: StoreIn, tmp_path: Path
) -> None:
    words = (*_WORDS, *more)
    whole, broken = store_in(tmp_path / "whole"), store_in(tmp_path / "broken")
    uninterrupted = start(*words, f"runs_dir={whole.path}")
    assert uninterrupted.wait() == 0, uninterrupted.said
    assert _LAST_LOOK in uninterrupted.said
    assert ("widened there" in uninterrupted.said) == (more[0] in _TUNING)
    for kill in kills:
        sweep = start(*words, f"runs_dir={broken.path}")
        sweep.wait_until(lambda sweep=sweep, kill=kill: kill.is_due(sweep, broken))
        sweep.end()
        assert _LAST_LOOK in kill.said or broken.finished() < trials
    before = broken.finished()
    again = start(*words, f"runs_dir={broken.path}")
    assert again.wait() == 0, again.said
    assert json.loads((broken.path / "latest/manifest.json").read_text())["plan"]["reused"] >= before > 0
    runs = broken.runs()["FINISHED"]
    assert (len(runs), {*runs.values()}) == (trials, {1})
    assert broken.sweeps() == ["KILLED"] * len(kills) + ["FINISHED"]
    for file in _FILES:
        assert (broken.path / "latest" / file).read_bytes() == (whole.path / "latest" / file).read_bytes(), file
