"""Nothing of the process's environment has a say in how a pack is trained."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnbench.config import Trial
from bnbench.data import ImageData
from bnbench.sweep.running.interruption import Terminated, terminable
from bnbench.training import trainer
from bnbench.training.fit import fit

SMALL = ("model.depth=1", "model.width=5", "training.steps=6", "training.batch_size=8")


@pytest.mark.parametrize(
    "setting",
    ["FAST_DEV_RUN=1", "MAX_TIME=00:00:00:00", "LIMIT_TRAIN_BATCHES=1", "MAX_STEPS=2", "PRECISION=bf16-mixed"],
)
def test_lightnings_environment_variables_change_nothing(
    trial_of: Callable[..., Trial],
    images_of: Callable[..., ImageData],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:
    trial, data = trial_of(*SMALL), images_of(1, 4, 4)
    [usual] = fit([trial], data)
    name, value = setting.split("=")
    monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    [result] = fit([trial], data)
    assert (result.curves, result.metrics) == (usual.curves, usual.metrics)


@pytest.mark.parametrize(
    "variables",
    [
        {
            "SLURM_NTASKS": "2",
            "SLURM_JOB_ID": "77",
            "SLURM_JOB_NAME": "batch",
            "SLURM_PROCID": "1",
            "SLURM_LOCALID": "1",
        },
        {"TORCHELASTIC_RUN_ID": "7", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"},
    ],
    ids=["slurm", "torchelastic"],
)
def test_a_clusters_variables_change_nothing_and_warn_of_nothing(
    trial_of: Callable[..., Trial],
    images_of: Callable[..., ImageData],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    trial, data = trial_of(*SMALL), images_of(1, 4, 4)
    [usual] = fit([trial], data)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [result] = fit([trial], data)
    assert (result.curves, result.metrics) == (usual.curves, usual.metrics)


def test_an_srun_on_the_path_is_not_warned_of(
    trial_of: Callable[..., Trial],
    images_of: Callable[..., ImageData],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [result] = fit([trial_of(*SMALL)], images_of(1, 4, 4))
    assert result.status == "finished"


def test_a_training_that_ends_early_is_no_result(
    trial_of: Callable[..., Trial], images_of: Callable[..., ImageData], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer._trainer

    def cut_short(*arguments: Any) -> Any:
        lightning = made(*arguments)
        lightning.fit_loop.epoch_loop.max_steps = 2
        return lightning

    monkeypatch.setattr(trainer, "_trainer", cut_short)
    with pytest.raises(RuntimeError, match="training ended after 2 of 6 steps"):
        fit([trial_of(*SMALL, "training.eval_grid=linear", "training.eval_every=1")], images_of(1, 4, 4))


def test_sigterm_while_training_is_told_from_ctrl_c(
    trial_of: Callable[..., Trial], images_of: Callable[..., ImageData]
) -> None:
    def terminate(steps: int, diverged: int) -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated), terminable():
        fit([trial_of(*SMALL)], images_of(1, 4, 4), report=terminate)
