"""What was recorded comes out again, and if it does not, it is said: by digits, by trial, by cause."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import bnbench
from bnbench import names
from bnbench.api import compose_one
from bnbench.config import ConfigError, Trial
from bnbench.data import DATASETS, ImageData
from bnbench.results import TrialResult
from bnbench.sweep import verify as module
from bnbench.sweep.failure import SweepFailedError
from bnbench.sweep.verify import Recorded, choose, differences, rebuild, verify
from bnbench.tracking import TrackingError, environment

_META = {"config": {"data": {"root": None, "download": True}}}

# Rebuilding.


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"norm.name": "batch", "norm.preset": "tensorflow", "norm.inference": "precise", "norm.placement": "after"},
        {"norm.name": "ghost_batch", "norm.ghost_size": 8, "norm.weight_standardization": True},
        {"norm.name": "online", "norm.decay_forward": 0.1 + 0.2},
        {"model.name": "cnn", "model.init": "normal", "model.head_init": "orthogonal", "model.head_sd": 0.3},
        {"optimizer.name": "adamw", "optimizer.lr_scaling": "sqrt", "optimizer.lr": 1 / 3, "training.batch_size": 8},
        {"schedule.name": "step", "schedule.warmup_steps": 3, "training.epochs": 2},
        {
            "training.examples": 640,
            "training.eval_grid": "linear",
            "training.eval_every": 7,
            "training.loss": "sigmoid",
        },
        {"training.eval_examples": 200, "training.precision": "float64", "data.split": "by_seed", "seed": 12},
    ],
    ids=str,
)
def test_a_trial_is_rebuilt_from_the_params_that_its_run_has(
    values: dict[str, Any], make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial({**values, "training.targets": [0.5, 0.95]})
    params = json.loads(json.dumps(trial.params))
    metrics = {names.reached(0.95): 0.0, names.steps_to(0.95): 9.0, names.reached(0.5): 1.0, names.TEST_ACC: 0.5}
    config = rebuild(TrialResult(trial.key, params, "finished", metrics=metrics), _META)
    again = Trial.from_config(config, train_size=DATASETS[config.data.name].train, data_checksum=trial.data_checksum)
    assert (again.key, again.params, again.targets) == (trial.key, trial.params, trial.targets)


def test_the_place_of_the_images_is_the_sweep_s_or_the_one_that_is_given(make_trial: Callable[..., Trial]) -> None:
    result = TrialResult("k", make_trial({}).params, "finished")
    meta = {"config": {"data": {"root": "/there", "download": False}}}
    assert (rebuild(result, meta).data.root, rebuild(result, meta).data.download) == ("/there", False)
    assert rebuild(result, meta, root="/here").data.root == "/here"


@pytest.mark.parametrize("other", [{"norm": "dyt"}, {"data": "svhn"}, {"norm.temperature": 1.0}])
def test_a_trial_of_another_bnbench_is_refused_in_one_line(
    other: dict[str, Any], make_trial: Callable[..., Trial]
) -> None:
    [(key, value)] = other.items()
    with pytest.raises(ConfigError, match=rf"^trial k .*{key}.*{value}.*$"):
        rebuild(TrialResult("k", make_trial({}).params | other, "finished"), _META)


# Choosing.


@pytest.fixture(scope="module")
def recorded(make_trial: Callable[..., Trial]) -> list[Recorded]:
    """Two models, a short and a long one, with three norms, two rates, three seeds and one that tunes."""
    norms = [{"norm.name": "none"}, {"norm.name": "batch"}, {"norm.name": "batch", "norm.placement": "after"}]
    models = [{"model.name": "cnn", "model.depth": 7, "training.steps": 5000}, {"training.steps": 100}]
    trials = [
        make_trial({**model, **norm, "optimizer.lr": lr, "seed": seed})
        for model in models
        for norm in norms
        for lr in (0.1, 0.5)
        for seed in (0, 1, 2, 100)
    ]
    return [
        Recorded(TrialResult(t.key, t.params, "diverged" if i == 40 else "finished"), str(i), t.seed == 100)
        for i, t in enumerate(trials)
    ]


_VARIED = ["seed", "model", "norm", "norm.placement", "optimizer.lr"]


def test_four_trials_cover_what_varies_and_the_long_model_is_trained_once(recorded: list[Recorded]) -> None:
    chosen = choose(recorded, _VARIED, 4)
    params = [r.result.params for r in chosen]
    for key in ("model", "norm", "optimizer.lr"):
        assert {p[key] for p in params} == {r.result.params[key] for r in recorded}
    assert {p.get("norm.placement") for p in params} == {None, "before", "after"}
    assert {r.tuning for r in chosen} == {False, True}
    assert {r.result.status for r in chosen} == {"finished", "diverged"}
    assert [p["model"] for p in params].count("cnn") == 1


def test_the_same_trials_are_chosen_each_time_and_a_larger_sample_adds_to_a_smaller(recorded: list[Recorded]) -> None:
    chosen = choose(recorded, _VARIED, 12)
    assert [r.run_id for r in choose(recorded, _VARIED, 5)] == [r.run_id for r in chosen[:5]]
    assert len({r.run_id for r in chosen}) == 12
    shapes = {(p["model"], p["norm"], p.get("norm.placement")) for p in (r.result.params for r in chosen)}
    assert len(shapes) == 6, "every kind of pack"


@pytest.mark.parametrize("number", [48, 1000])
def test_a_sample_as_large_as_the_sweep_is_the_sweep(recorded: list[Recorded], number: int) -> None:
    assert choose(recorded, _VARIED, number) == recorded


# Comparing.


def _result(**changes: Any) -> TrialResult:
    curves = {names.VAL_LOSS: [(0, 2.3), (1, 2.1), (5, 0.1)], names.TRAIN_LOSS: [(1, 2.25), (5, 0.5)]}
    result = TrialResult("k", {}, "finished", metrics={names.TEST_ACC: 0.9, names.TEST_LOSS: 0.3}, curves=curves)
    return replace(result, **changes)


_KNOWN = {names.TEST_ACC, names.TEST_LOSS, names.VAL_LOSS, names.TRAIN_LOSS}


def test_a_last_bit_in_any_number_is_a_difference_and_the_earliest_comes_first() -> None:
    now = _result(
        metrics={names.TEST_ACC: 0.9, names.TEST_LOSS: math.nextafter(0.3, 1)},
        curves={
            names.VAL_LOSS: [(0, 2.3), (1, 2.1), (5, math.nextafter(0.1, 1))],
            names.TRAIN_LOSS: [(1, 2.5), (5, 0.5)],
        },
    )
    assert differences(_result(), _result(), _KNOWN) == []
    assert list(map(str, differences(_result(), now, _KNOWN))) == [
        "train/loss at step 1: recorded 2.25, now 2.5, relative difference 0.1",
        "val/loss at step 5: recorded 0.1, now 0.10000000000000002, relative difference 1.4e-16",
        "test/loss: recorded 0.3, now 0.30000000000000004, relative difference 1.9e-16",
    ]


def test_a_number_that_is_there_only_once_is_a_difference() -> None:
    now = _result(metrics={names.TEST_ACC: 0.9})
    assert list(map(str, differences(_result(), now, _KNOWN))) == ["test/loss: recorded 0.3, now None"]
    assert list(map(str, differences(now, _result(), _KNOWN))) == ["test/loss: recorded None, now 0.3"]


def test_a_measure_newer_than_the_sweep_is_not_compared() -> None:
    now = _result(metrics={**_result().metrics, "test/brier": 0.1})
    assert differences(_result(), now, _KNOWN) == []


def test_another_step_of_divergence_is_a_difference() -> None:
    then = _result(status="diverged", diverged_step=7)
    assert [d.key for d in differences(then, replace(then, diverged_step=8), _KNOWN)] == ["diverged_step"]
    assert [d.key for d in differences(then, _result(), _KNOWN)] == ["diverged_step"]
    assert differences(then, replace(then), _KNOWN) == []


# The whole way, in this process.


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packs of six; a rate of 1e30 makes the networks without norm diverge."""
    folder = tmp_path_factory.mktemp("runs")
    words = ["data=digits", "model.width=20", "norm=none,batch", "optimizer.lr=0.1,0.5,1e30", "seed=0,1"]
    more = ["training.steps=12", "training.targets=[0.2]", "hydra.launcher.n_jobs=1", f"runs_dir={folder}"]
    bnbench.run(*words, *more)
    return folder


@pytest.fixture(scope="module")
def first(runs: Path) -> str:
    """The name of the sweep that trained them all; later ones may stand beside it."""
    [sweep] = [folder for folder in runs.glob("trial-*") if len(pd.read_csv(folder / "trials.csv")) == 12]
    return sweep.name


class Said(NamedTuple):
    """What the user reads: the lines, and the error at the end, if any."""

    lines: list[str]
    error: str = ""


@pytest.fixture
def verified(runs: Path) -> Callable[..., Said]:
    def run(*words: str, sweep: str, sample: int | None = 4) -> Said:
        lines: list[str] = []
        try:
            verify(sweep, compose_one([f"runs_dir={runs}", *words]), sample, workers=1, say=lines.append)
        except SweepFailedError as error:
            return Said(lines, str(error))
        return Said(lines)

    return run


@pytest.fixture
def changed(runs: Path, tmp_path: Path) -> Callable[[str], str]:
    """The setting for a copy of the database in which some SQL was run."""

    def change(sql: str) -> str:
        copy = tmp_path / "mlflow.db"
        shutil.copy(runs / "mlflow.db", copy)
        with closing(sqlite3.connect(copy)) as connection, connection:
            assert connection.execute(sql).rowcount > 0
        return f"tracking.uri=sqlite:///{copy}"

    return change


@pytest.fixture
def off_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Scales the validation loss of one step in everything that is trained."""
    train = module._train_alone

    def change(at: int, factor: float) -> None:
        def trained(*arguments: Any) -> TrialResult:
            result = train(*arguments)
            curve = [(step, value * factor if step == at else value) for step, value in result.curves[names.VAL_LOSS]]
            return replace(result, curves={**result.curves, names.VAL_LOSS: curve})

        monkeypatch.setattr(module, "_train_alone", trained)

    return change


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_trials_trained_in_packs_give_the_same_digits_alone_and_nothing_is_written(
    runs: Path, first: str, verified: Callable[..., Said]
) -> None:
    before = _files(runs)
    said = verified(sweep=first, sample=None)
    assert (said.lines[-1], said.error) == ("12 of 12 trials retrained alone gave the same digits", "")
    assert sum(": same: " in line for line in said.lines) == 12
    assert any(": same: diverged at step " in line for line in said.lines)
    assert len(said.lines) == 14, "a headline, a line a trial, a conclusion; nothing to note on the same machine"
    assert _files(runs) == before


def test_a_trial_that_another_sweep_trained_is_verified_with_that_sweep_s_targets(
    runs: Path, verified: Callable[..., Said]
) -> None:
    words = ["data=digits", "model.width=20", "norm=batch", "optimizer.lr=0.5", "seed=0", "training.steps=12"]
    sweep = bnbench.run(*words, "training.targets=[0.7]", "hydra.launcher.n_jobs=1", f"runs_dir={runs}")
    assert sweep.table.meta["plan"]["reused"] == 1
    said = verified(sweep=sweep.table.meta["run_id"])
    assert said.lines[-1] == "1 of 1 trial retrained alone gave the same digits"


def test_one_digit_in_the_store_is_found(
    first: str, verified: Callable[..., Said], changed: Callable[..., str]
) -> None:
    wrong = changed("update metrics set value = value * (1 + 1e-15) where key = 'val/loss' and step = 5")
    said = verified(wrong, sweep=first)
    told = [line for line in said.lines if "values differ, the first:" in line]
    assert told
    assert all("\n    val/loss at step 5: recorded " in line for line in told)
    assert said.lines[-1] == f"{4 - len(told)} of 4 trials retrained alone gave the same digits"
    assert re.fullmatch(rf"{len(told)} trials? of {first} did not give the recorded digits", said.error)


def test_a_trial_that_fails_is_said_to_and_the_others_are_verified(
    first: str, verified: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnbench.training import fit as training

    fit = training.fit

    def failing(trials: Any, data: Any) -> Any:
        if trials[0].norm.name == "batch":
            raise RuntimeError("out of memory")
        return fit(trials, data)

    monkeypatch.setattr(training, "fit", failing)
    said = verified(sweep=first)
    failed = [line for line in said.lines if line.endswith(": failed: RuntimeError: out of memory")]
    assert 0 < len(failed) < 4
    assert said.lines[-1].startswith(f"{4 - len(failed)} of 4 trials")
    assert said.error


def test_a_sweep_without_results_and_one_that_is_not_there_are_answered(
    first: str, verified: Callable[..., Said], changed: Callable[..., str]
) -> None:
    with pytest.raises(TrackingError, match="sweep=mine is not in"):
        verified(sweep="mine")
    failed = changed("update tags set value = 'failed' where key = 'bnbench.status'")
    with pytest.raises(ConfigError, match=f"sweep {first} has no finished trial to verify"):
        verified(failed, sweep=first)


# Refusing.


def test_other_images_another_torch_and_other_numerics_are_told_apart(
    first: str, verified: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("bnbench.config.trial.NUMERICS_VERSION", -1)
        with pytest.raises(
            ConfigError, match=r"^trial \w{16} cannot be .*: it had other numerics, those of bnbench \S+ "
        ):
            verified(sweep=first)
    with monkeypatch.context() as patch:
        patch.setattr("bnbench.config.trial._torch_version", lambda: "9.9")
        patch.setattr(environment, "versions", lambda: {"torch": "9.9"})
        with pytest.raises(ConfigError, match=r": it had torch 2\.\S+, and this is 9\.9$"):
            verified(sweep=first)
    pixels = np.zeros((1797, 1, 8, 8), dtype=np.uint8)
    zeros = ImageData.from_arrays("digits", pixels, np.arange(1797) % 10, classes=10, source="another host")
    monkeypatch.setattr("bnbench.sweep.plan.load_data", lambda *args, **options: zeros)
    with pytest.raises(
        ConfigError, match=rf": it had data=digits with checksum \w+, and this is {zeros.checksum[:12]}$"
    ):
        verified(sweep=first)


# Other machines.


def test_another_cpu_and_other_packages_are_noted_with_what_follows(
    first: str, verified: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment.versions()
    monkeypatch.setattr(environment, "hardware", lambda: {"cpu": "Z80"})
    monkeypatch.setattr(environment, "versions", lambda: {**here, "numpy": "9.9"})
    said = verified(sweep=first, sample=1)
    assert said.lines[1].startswith(f"recorded with numpy {here['numpy']}, now 9.9: ")
    assert "and this is Z80: kernels are picked by the CPU, so rounding may differ" in said.lines[2]
    assert said.lines[-1] == "1 of 1 trial retrained alone gave the same digits"


@pytest.mark.parametrize(("at", "factor", "near"), [(0, 1 + 1e-4, True), (5, 2.0, True), (0, 1.01, False)])
def test_on_another_device_only_the_loss_before_the_first_step_is_held_to_a_tolerance(
    at: int, factor: float, near: bool, first: str, verified: Callable[..., Said], changed: Any, off_at: Any
) -> None:
    cuda = changed("update tags set value = 'cuda' where key = 'bnbench.device'")
    off_at(at, factor)
    said = verified(cuda, sweep=first, sample=1)
    assert said.lines[1].startswith("recorded on device=cuda, ")
    assert "within a relative 0.001 (1e-09 in float64)" in said.lines[1]
    assert f"val/loss at step {at}: recorded" in said.lines[2]
    more = ", 1 more agree as far as two devices can" if near else ""
    assert said.lines[-1] == f"0 of 1 trial retrained alone gave the same digits{more}"
    assert bool(said.error) != near


def test_on_the_same_device_there_is_no_tolerance(first: str, verified: Callable[..., Said], off_at: Any) -> None:
    off_at(0, 1 + 1e-15)
    assert verified(sweep=first, sample=1).error
