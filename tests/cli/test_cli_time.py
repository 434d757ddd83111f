"""`time` on the command line: what is timed, what is kept, and how wrong words are answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bnbench.analysis import Analysis
from bnbench.analysis.timing import step_seconds
from bnbench.bench.time_arms import time_arms
from bnbench.bench.workloads import trials_of
from bnbench.config.workspace import Workspace
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import TimingRecord
from bnbench.sweep.hydra_session import hydra_sweep
from bnbench.tracking import Store

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_ARMS = ("data=digits", "model.width=8", "norm=none,batch", "optimizer.lr=0.1,0.5", "training.batch_size=1,8")


def test_arms_are_timed_once_for_each_arithmetic_and_any_sweep_of_them_has_it(tmp_path: Path) -> None:
    lines: list[str] = []
    words = [*_ARMS, "seed=0,1", f"runs_dir={tmp_path}"]
    with hydra_sweep(words) as hydra:
        table = time_arms(hydra, words, 3, 0.01, say=lines.append)
    timing = table.record.found_out.timing
    assert timing is not None
    assert [arm.label for arm in timing.arms] == [
        "none  batch_size=1",
        "none  batch_size=8",
        "batch  batch_size=8",
    ]
    assert [len(arm.keys) for arm in timing.arms] == [4, 4, 4], "two seeds and two rates; undefined ones not"
    assert all(len(arm.seconds_per_step) == 3 for arm in timing.arms)
    assert all(0 < seconds < 1 for arm in timing.arms for seconds in arm.seconds_per_step)
    (ratio,) = Analysis(table).timed_ratios
    assert (ratio.where, ratio.a, ratio.b) == ({"training.batch_size": 8}, "batch", "none")
    assert any(line.startswith("3 arms in turns, 3 rounds, one process on one thread") for line in lines)

    # A sweep recorded later finds it by what a step's arithmetic depends on.
    store = Store.open(Workspace.at(tmp_path), create=False)
    arm = timing.arms[-1]
    words = ["data=digits", "model.width=8", "norm=batch", "training.batch_size=8", "optimizer.lr=0.3"]
    [trial] = trials_of(words, [77])
    store.start_sweep(table.record, [PlannedTrial("k", trial.params)])
    loaded = store.load("latest")
    assert step_seconds(loaded)["k"].tolist() == arm.seconds_per_step
    # A newer timing that covers as much is taken instead, one that covers less is not.
    store.record_timing(TimingRecord("trial", [replace(arm, seconds_per_step=[5.0])]))
    store.record_timing(TimingRecord("other", [replace(arm, shape="0" * 16)]))
    assert step_seconds(store.load("latest"))["k"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--rounds", "1"], ["time --rounds 1 is not allowed", "a whole number >= 2"]),
        (["--rounds=2.5"], ["time --rounds 2.5", "a whole number >= 2"]),
        (["--seconds", "0"], ["time --seconds 0", "a number of seconds > 0"]),
        (["--seconds", "inf"], ["time --seconds inf", "a number of seconds > 0"]),
        (["placement"], ["time placement is not understood", "allowed: time [--rounds N]"]),
        (["--rounds"], ["time argument --rounds: expected one argument"]),
        (["norm=bacth"], ["norm=bacth", "batch"]),
        (["+sweep=nothing"], ["+sweep=nothing", "placement"]),
        (["norm.eps=-1"], ["norm.eps=-1"]),
    ],
)
def test_what_cannot_be_timed_is_answered_in_one_line(
    words: list[str], parts: list[str], bnbench: Command, folder: Path
) -> None:
    answer = bnbench("time", *words)
    assert (answer.status, len(answer.err)) == (2, 1), answer.err
    assert [part for part in parts if part not in answer.err[0]] == [], answer.err
    assert [*folder.iterdir()] == []
