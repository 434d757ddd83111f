"""What others have deleted from the store is missed only where it is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bnbench
from bnbench.sweep.again.reproduce import reproduce
from bnbench.sweep.again.verify import verify
from bnbench.sweep.hydra_session import compose_one, hydra_sweep
from bnbench.tracking import TrackingError

_WORDS = ["data=digits", "model.width=8", "norm=none,batch", "training.steps=6", "hydra.launcher.n_jobs=1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps, of which the second trained nothing itself; then MLflow's own tool has removed the first."""
    runs = tmp_path_factory.mktemp("runs")
    first = bnbench.run(*_WORDS, "seed=0,1", f"runs_dir={runs}").table.record
    bnbench.run(*_WORDS, "seed=0", f"runs_dir={runs}")
    uri = f"sqlite:///{runs}/mlflow.db"
    MlflowClient(uri).delete_run(first.place.run_id)
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri, "--tracking-uri", uri]
    subprocess.run(command, check=True, capture_output=True, cwd=runs)
    assert not (runs / "artifacts" / first.place.run_id / "artifacts" / "sweep.json").exists()
    return runs


@pytest.fixture
def verified(runs: Path) -> Callable[[], list[str]]:
    def run() -> list[str]:
        lines: list[str] = []
        verify("latest", compose_one([f"runs_dir={runs}"]), None, workers=1, say=lines.append)
        return lines

    return run


def test_a_sweep_whose_trials_another_one_trained_is_verified_and_reproduced_without_that_one(
    runs: Path, verified: Callable[[], list[str]]
) -> None:
    lines = verified()
    assert len(lines) == 4, "nothing is noted: versions and machine are the recorded ones, as each trial's run has them"
    assert lines[-1] == "2 of 2 trials retrained alone gave the same digits"
    said: list[str] = []
    with hydra_sweep(["hydra.launcher.n_jobs=1", f"runs_dir={runs}"]) as hydra:
        reproduce("latest", hydra, say=said.append)
    assert said[-1] == "identical"
    conditions = bnbench.load("latest", f"runs_dir={runs}").table.record.found_out.conditions
    assert len(conditions["versions"]) == 1


def test_a_sweep_whose_own_files_are_gone_is_answered_in_one_line(
    runs: Path, verified: Callable[[], list[str]]
) -> None:
    run_id = bnbench.load("latest", f"runs_dir={runs}").table.record.place.run_id
    (runs / "artifacts" / run_id / "artifacts" / "sweep.json").unlink()
    with pytest.raises(TrackingError, match=r"no readable sweep\.json in .* put the folder that was there back") as e:
        verified()
    assert "\n" not in str(e.value)
