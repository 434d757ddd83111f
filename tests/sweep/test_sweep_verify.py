"""What was recorded comes out again, and if it does not, it is said: by digits, by trial, by cause."""

from __future__ import annotations

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
from bnbench.config import ConfigError, environment
from bnbench.data import ImageData
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.again import verify as module
from bnbench.sweep.again.verify import verify
from bnbench.sweep.hydra_session import compose_one
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.tracking import TrackingError


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
    """All but the database."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"}


def _load(runs: Path, sweep: str) -> SweepTable:
    return bnbench.load(sweep, f"runs_dir={runs}").table


def test_trials_trained_in_packs_give_the_same_digits_alone_and_only_that_is_kept(
    runs: Path, first: str, verified: Callable[..., Said]
) -> None:
    before, table = _files(runs), _load(runs, first)
    assert table.record.found_out.verified is None
    said = verified(sweep=first, sample=None)
    assert (said.lines[-1], said.error) == ("12 of 12 trials retrained alone gave the same digits", "")
    assert sum(": same: " in line for line in said.lines) == 12
    assert any(": same: diverged at step " in line for line in said.lines)
    assert len(said.lines) == 14, "a headline, a line a trial, a conclusion; nothing to note on the same machine"
    assert _files(runs) == before
    again = _load(runs, first)
    pd.testing.assert_frame_equal(again.trials, table.trials)
    verified_ = again.record.found_out.verified
    assert verified_ is not None
    assert (verified_.trials, verified_.identical, verified_.near) == (12, 12, 0)
    assert verified_.cpu == environment.hardware()["cpu"]
    assert replace(again.record, found_out=replace(again.record.found_out, verified=None)) == table.record


def test_what_a_trial_was_trained_under_is_read_back(runs: Path, first: str) -> None:
    conditions = _load(runs, first).record.found_out.conditions
    assert (conditions["device"], conditions["threads"]) == (["cpu"], ["1"])
    assert {len(values) for values in conditions.values()} == {1}
    assert "MKL_CBWR=AUTO,STRICT" in conditions["blas"][0]


def test_a_trial_that_another_sweep_trained_is_verified_with_that_sweep_s_targets(
    runs: Path, verified: Callable[..., Said]
) -> None:
    words = ["data=digits", "model.width=20", "norm=batch", "optimizer.lr=0.5", "seed=0", "training.steps=12"]
    sweep = bnbench.run(*words, "training.targets=[0.7]", "hydra.launcher.n_jobs=1", f"runs_dir={runs}")
    assert sweep.table.record.plan.reused == 1
    said = verified(sweep=sweep.table.record.place.run_id)
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

    def failing(trials: Any, data: Any, **options: Any) -> Any:
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
            ConfigError, match=r"^trial \w{16} cannot be .*: numerics version \d+ when recorded, -1 now$"
        ):
            verified(sweep=first)
    here = environment.versions()
    with monkeypatch.context() as patch:
        patch.setattr("bnbench.config.trial._torch_version", lambda: "9.9")
        patch.setattr(environment, "versions", lambda: {**here, "torch": "9.9"})
        with pytest.raises(ConfigError, match=r": torch 2\.\S+ when recorded, 9\.9 now$"):
            verified(sweep=first)
    pixels = np.zeros((1797, 1, 8, 8), dtype=np.uint8)
    zeros = ImageData.from_arrays("digits", pixels, np.arange(1797) % 10, classes=10, source="another host")
    monkeypatch.setattr("bnbench.sweep.planning.plan.load_images", lambda *args, **options: zeros)
    with pytest.raises(
        ConfigError, match=rf": checksum of the data \w{{12}} when recorded, {zeros.checksum[:12]} now$"
    ):
        verified(sweep=first)


# Other machines.


def test_another_cpu_and_other_packages_are_noted_with_what_follows(
    first: str, verified: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment.versions()
    monkeypatch.setattr(environment, "cpu_name", lambda: "Z80")
    monkeypatch.setattr(environment, "versions", lambda: {**here, "numpy": "9.9"})
    said = verified(sweep=first, sample=1)
    assert said.lines[1] == f"numpy {here['numpy']} when recorded, 9.9 now: where digits differ, this may be why"
    assert not any("Z80" in line for line in said.lines), "bnbench's kernels have the same bits on any CPU"
    assert said.lines[-1] == "1 of 1 trial retrained alone gave the same digits"


@pytest.mark.parametrize(("at", "factor", "near"), [(0, 1 + 1e-4, True), (5, 2.0, True), (0, 1.01, False)])
def test_on_another_device_only_the_loss_before_the_first_step_is_held_to_a_tolerance(
    at: int, factor: float, near: bool, first: str, verified: Callable[..., Said], changed: Any, off_at: Any
) -> None:
    cuda = changed("update tags set value = 'cuda' where key = 'bnbench.device'")
    off_at(at, factor)
    said = verified(cuda, sweep=first, sample=1)
    assert said.lines[1].startswith("device cuda when recorded, cpu now: ")
    assert "within a relative 0.001 (1e-09 in float64)" in said.lines[1]
    assert f"val/loss at step {at}: recorded" in said.lines[2]
    more = ", 1 more agree as far as two devices can" if near else ""
    assert said.lines[-1] == f"0 of 1 trial retrained alone gave the same digits{more}"
    assert bool(said.error) != near


def test_on_the_same_device_there_is_no_tolerance(first: str, verified: Callable[..., Said], off_at: Any) -> None:
    off_at(0, 1 + 1e-15)
    assert verified(sweep=first, sample=1).error
