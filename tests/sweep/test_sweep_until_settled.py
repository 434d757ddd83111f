"""Sweeps that go on until they are settled: what they train, with planted accuracies in place of training."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

import bnbench
from bnbench.config import ConfigError, Trial
from bnbench.config.workspace import Workspace
from bnbench.data import ImageData
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.running import live_report, worker
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.published import Sweep
from bnbench.sweep.running.settling import describe_settling
from bnbench.tracking import Store

if TYPE_CHECKING:
    from conftest import Planted

Plant = Callable[[Callable[[str, float], float]], list[Trial]]
"""Plants each trial's accuracy, from its level and its learning rate; gives the list of the trials that are trained."""

_SPREAD = 0.004  # of a trial's accuracy about its arm's
_LEVELS = ("norm=none,batch", "model=fc", "model.width=8", "data=digits", "training.steps=2", "hydra.launcher.n_jobs=1")


def _level(trial: Trial) -> str:
    """ "none", or where batch norm is placed."""
    return trial.norm.name if trial.norm.name == "none" else str(trial.norm.placement)


@pytest.fixture
def plant(planted: Planted) -> Plant:
    def plant_arms(accuracy: Callable[[str, float], float]) -> list[Trial]:
        def of_trial(trial: Trial) -> float:
            noise = random.Random(f"{_level(trial)} {trial.seed}").gauss(0, _SPREAD)
            return accuracy(_level(trial), trial.lr) + noise

        planted.accuracies(of_trial)
        return planted.trained

    return plant_arms


def _run(folder: Path, *words: str) -> Sweep:
    sweep = bnbench.run(*_LEVELS, "sweep.until=settled", f"runs_dir={folder}", *words)
    assert sweep is not None
    return sweep


def _seeds(trained: Sequence[Trial], seeds: range = range(100)) -> dict[str, int]:
    return dict(Counter(_level(trial) for trial in trained if trial.seed in seeds))


def _states(sweep: Sweep) -> dict[str, tuple[str, int]]:
    contrasts = sweep.contents.analysis.asked
    return {
        f"{one.a} - {one.b}": (str(one.settlement.state), one.settlement.pairs) for one in contrasts if one.settlement
    }


def test_a_large_difference_is_settled_at_the_first_look(tmp_path: Path, plant: Plant) -> None:
    trained = plant(lambda level, lr: 0.9 if level == "before" else 0.8)
    sweep = _run(tmp_path)
    assert _seeds(trained) == {"none": 10, "before": 10}
    assert _states(sweep) == {"batch - none": ("different", 10)}


def test_only_the_arms_of_open_contrasts_get_further_seeds(tmp_path: Path, plant: Plant) -> None:
    trained = plant(lambda level, lr: 0.8 if level == "none" else 0.9)
    words = ("norm.placement=before,after", "sweep.contrasts=[before - after,before - none]", "sweep.margin_pp=0.5")
    states = _states(_run(tmp_path, *words))
    state, pairs = states["before - after"]
    assert state == "equivalent"
    assert pairs > 10
    assert states["before - none"] == ("different", 10)
    assert _seeds(trained) == {"none": 10, "before": pairs, "after": pairs}


def test_what_is_open_at_the_cap_says_how_many_seeds_it_would_take(tmp_path: Path, plant: Plant) -> None:
    trained = plant(lambda level, lr: 0.9 if level == "none" else 0.901)
    sweep = _run(tmp_path, "sweep.max_seeds=16")
    assert _states(sweep) == {"batch - none": ("open", 16)}
    assert _seeds(trained) == {"none": 16, "before": 16}
    assert "16 pairs do not settle it, about" in (sweep.folder / "report.md").read_text()


_TUNED = ("optimizer.lr=0.01,0.1,1.0", "sweep.tuning_seeds=[200,201]")


def test_where_no_time_is_left_tuning_ends_after_its_first_seed(
    tmp_path: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = plant(lambda level, lr: 0.8 + 0.05 * lr)  # best at the edge of the grid, which there is no time to widen
    _run(tmp_path, *_TUNED, "sweep.max_minutes=1e-9")
    assert Counter(trial.seed for trial in trained if trial.seed >= 200) == {200: 6}
    assert {trial.lr for trial in trained} == {0.01, 0.1, 1.0}
    assert _seeds(trained) == {"none": 10, "before": 10}
    said = capsys.readouterr().out
    assert "no time is left for more than 1 tuning seed (sweep.max_minutes=1e-09)" in said
    assert "2 levels did best at the edge of the grid, and no time is left to widen it" in said


def test_learning_rates_are_tuned_before_the_first_look_and_other_ones_are_not_reported(
    tmp_path: Path, plant: Plant
) -> None:
    trained = plant(lambda level, lr: (0.9 if level == "before" else 0.8) - (0 if lr == 0.1 else 0.05))
    _run(tmp_path, *_TUNED)
    tuning = [trial for trial in trained if trial.seed >= 200]
    assert Counter(trial.lr for trial in tuning) == {0.01: 4, 0.1: 4, 1.0: 4}
    reported = [trial for trial in trained if trial.seed < 200]
    assert Counter((_level(trial), trial.lr) for trial in reported) == {("none", 0.1): 10, ("before", 0.1): 10}


def test_where_no_tuning_seed_finishes_nothing_else_is_trained(
    tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = plant(lambda level, lr: 0.9)
    fit = worker._fit

    def diverging(job: Job, images: ImageData, trials: Sequence[Trial]) -> Any:
        return [replace(one, status="diverged", metrics={}, diverged_step=1) for one in fit(job, images, trials)]

    monkeypatch.setattr(worker, "_fit", diverging)
    sweep = _run(tmp_path, *_TUNED)
    assert {trial.seed for trial in trained} == {200, 201}
    assert "nothing is left to compare" in capsys.readouterr().out
    assert sweep.contents.analysis.asked == []


def test_a_grid_at_whose_edge_a_level_does_best_is_widened_there(
    tmp_path: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = plant(lambda level, lr: 0.9 - 0.05 / lr if level == "before" else 0.8 - abs(lr - 0.1) / 100)
    sweep = _run(tmp_path, *_TUNED)
    tuning = {(_level(trial), trial.lr) for trial in trained if trial.seed >= 200 and trial.lr > 1}
    assert tuning == {("before", 10.0), ("before", 100.0), ("before", 1000.0)}
    said = capsys.readouterr().out
    for rate in ("10", "100", "1000"):
        assert f"did best at the edge of the grid, which is widened there: {rate}\n" in said
    # The best one is at the edge still: no number of seeds settles what a better learning rate may change.
    (contrast,) = sweep.contents.analysis.asked
    assert contrast.at_edge == ["batch"]
    assert contrast.settlement is None
    assert _seeds(trained) == {"none": 10, "before": 10}


def test_interrupted_at_any_pack_it_goes_on_to_the_same_trials_and_files(
    tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accuracy(level: str, lr: float) -> float:
        return 0.9 if level == "none" else 0.9015

    plant(accuracy)
    words = ("sweep.margin_pp=0.5", "training.max_pack=7")
    whole = _run(tmp_path / "whole", *words)
    fit, packs = worker._fit, [0]

    def interrupted(job: Job, images: ImageData, trials: Sequence[Trial]) -> Any:
        packs[0] += 1
        if packs[0] % 2 == 0:
            raise KeyboardInterrupt
        return fit(job, images, trials)

    monkeypatch.setattr(worker, "_fit", interrupted)
    starts = 0
    again = None
    while again is None:
        starts += 1
        try:
            again = _run(tmp_path / "broken", *words)
        except KeyboardInterrupt:
            continue
    assert starts > 2
    for file in ("trials.csv", "differences.csv", "arms.csv"):
        assert (again.folder / file).read_bytes() == (whole.folder / file).read_bytes(), file


def test_while_it_is_trained_its_report_is_written_and_the_last_one_replaces_it(
    tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_report, "live_report", partial(live_report.live_report, period_seconds=0.05))
    written = Event()

    def write(load: Callable[[], SweepTable], folder: Path, page: Any = live_report.write_live) -> None:
        page(load, folder)
        if (folder / "report.html").exists():
            written.set()

    def accuracy(level: str, lr: float) -> float:
        if trained[14:]:  # the third pack waits until there is a report of those before it
            assert written.wait(60)
        return 0.9

    monkeypatch.setattr(live_report, "write_live", write)
    trained = plant(accuracy)
    sweep = _run(tmp_path, "training.max_pack=7", "sweep.max_seeds=10")
    assert "http-equiv" not in (sweep.folder / "report.html").read_text()


def test_status_tells_each_contrast_and_how_much_is_left(
    tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(lambda level, lr: {"none": 0.8, "before": 0.9, "after": 0.9006}[level])
    words = ("norm.placement=before,after", "sweep.contrasts=[before - after,before - none]")
    fit = worker._fit

    def interrupted(job: Job, images: ImageData, trials: Sequence[Trial]) -> Any:
        if any(trial.seed >= 10 for trial in trials):
            raise KeyboardInterrupt
        return fit(job, images, trials)

    monkeypatch.setattr(worker, "_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, *words)
    table = Store.open(Workspace.at(tmp_path), create=False).load("latest")
    lines = describe_settling(table, trained_here=30, runs=True)
    assert "before - after" in lines[0]
    assert "open: 10 pairs do not settle it" in lines[0]
    assert lines[1].endswith("before leads")
    assert re.fullmatch(r"about \d+ trials more for what is open, about .*", lines[2])


def test_each_trial_is_trained_once_and_counts_as_the_sweeps_own_also_where_nothing_is_resumed(
    tmp_path: Path, plant: Plant
) -> None:
    trained = plant(lambda level, lr: 0.9)
    words = ("sweep.max_seeds=24",)
    sweep = _run(tmp_path, *words)
    assert len(trained) == len({trial.key for trial in trained}) == sweep.table.record.plan.trials == 48
    assert sweep.table.record.plan.reused == 0
    first = len(trained)
    again = _run(tmp_path, *words)
    assert len(trained) == first
    assert again.table.record.plan.reused == first
    anew = _run(tmp_path, *words, "resume=false")
    assert len(trained) == 2 * first
    assert anew.table.record.plan.reused == 0


def test_a_setting_that_only_settled_levels_use_is_no_error_for_the_others(tmp_path: Path, planted: Planted) -> None:
    def accuracy(trial: Trial) -> float:
        level = trial.norm.name
        return (0.9 if level == "custom" else 0.8) + random.Random(f"{level} {trial.seed}").gauss(0, _SPREAD)

    planted.accuracies(accuracy)
    words = ("norm=none,batch,custom", "norm.factory=bnbench.examples.norm:max_norm", "sweep.max_seeds=16")
    sweep = _run(tmp_path, *words, "sweep.contrasts=[batch - none,custom - none]")
    assert {*_states(sweep).values()} == {("open", 16), ("different", 10)}


def test_a_trial_that_fails_ends_it_and_the_same_command_goes_on(
    tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = plant(lambda level, lr: 0.9)
    fit = worker._fit

    def failing(job: Job, images: ImageData, trials: Sequence[Trial]) -> Any:
        if any(trial.seed == 12 for trial in trials):
            raise RuntimeError("a fault")
        return fit(job, images, trials)

    monkeypatch.setattr(worker, "_fit", failing)
    with pytest.raises(SweepFailedError, match="seed=12: RuntimeError: a fault"):
        _run(tmp_path, "sweep.max_seeds=24")
    assert max(trial.seed for trial in trained) < 16
    monkeypatch.setattr(worker, "_fit", fit)
    assert _states(_run(tmp_path, "sweep.max_seeds=24"))["batch - none"][1] == 24


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sweep.until=settled", "seed=0,1"), "seed=0,1 is not allowed with sweep.until=settled"),
        (("sweep.until=settled", "sweep.compare=[]"), r"sweep.compare=\[\] compares none"),
        (("sweep.until=settled", "norm=batch"), "needs levels to compare, and there is one only .batch.; give norm"),
        (("sweep.until=settled", "sweep.max_seeds=9"), "sweep.max_seeds=9 is not allowed; .*>= 10"),
        (("sweep.max_seeds=20",), "sweep.max_seeds=20 is for sweep.until=settled"),
        (("sweep.max_minutes=2",), "sweep.max_minutes=2 is for sweep.until=settled"),
        (("sweep.margin_pp=0",), "sweep.margin_pp=0.0 is not allowed"),
    ],
)
def test_words_that_contradict_the_way_it_ends_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bnbench.run(*_LEVELS, *words, f"runs_dir={tmp_path}")
