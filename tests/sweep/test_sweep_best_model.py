from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

import bnbench
from bnbench.config.workspace import Workspace
from bnbench.data import load_data, split_data
from bnbench.record.names import TEST_ACC, VAL_ACC, VAL_ACC_FINAL
from bnbench.record.results import Recorded, TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.sweep.running.best_model import best_trial
from bnbench.tracking import Store


def _recorded(arm: str, seed: int, accuracy: float, *, tuning: bool = False, status: str = "finished") -> Recorded:
    curve = [(0, 0.99), (10, 1 - accuracy)]  # on too few images
    metrics = {VAL_ACC_FINAL: accuracy}
    result = TrialResult(f"{arm}{seed}", {"norm": arm, "seed": seed}, status, metrics=metrics, curves={VAL_ACC: curve})
    return Recorded(result, SweepRecord(Asked("a", "1")), tuning)


def test_the_best_arm_is_best_on_average_and_gives_its_best_trial() -> None:
    recorded = [
        _recorded("none", 0, 0.1),
        _recorded("none", 1, 0.98),
        _recorded("batch", 0, 0.7),
        _recorded("batch", 1, 0.8),
        _recorded("batch", 2, 0.8),
        _recorded("batch", 100, 0.97, tuning=True),
        _recorded("layer", 0, 0.97, status="diverged"),
    ]
    best = best_trial(recorded, ["norm"])
    assert best is not None
    assert best.result.key == "batch1"
    assert best_trial(recorded[-2:], ["norm"]) is None


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    words = ["data=digits", "norm=none,batch", "optimizer.lr=0.1", "training.batch_size=32", "training.steps=40"]
    bnbench.run(*words, "hydra.launcher.n_jobs=1", "tracking.log_model=best", f"runs_dir={folder}")
    return folder


def test_the_logged_model_is_the_best_arms_with_its_signature_and_needs(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(Workspace.at(runs_dir), create=False)
    connection = store._connection
    (logged,) = connection.client.search_logged_models([connection.experiment_id])
    record, recorded = store.recorded("latest")
    best = best_trial(recorded, record.asked.arm_keys)
    assert best is not None
    assert logged.source_run_id == record.place.run_id
    assert logged.tags["bnbench.key"] == best.result.key
    assert float(logged.tags[TEST_ACC]) == best.result.metrics[TEST_ACC]
    folder = Path(str(logged.artifact_location).removeprefix("file://"))
    needs = {f"{name}=={record.environment.versions[name]}" for name in ("bnbench", "torch", "numpy", "mlflow")}
    assert {*(folder / "requirements.txt").read_text().split()} == needs
    assert [path.name for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}] == []

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.address.uri)
    model: Any = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    data = load_data("digits", cache_dir=runs_dir / "cache")
    test = split_data(data, kind="fixed", seed=0).test
    logits = model.predict(data.images[test])
    right = int((logits.argmax(1) == data.labels[test]).sum())
    assert abs(right - best.result.metrics[TEST_ACC] * len(test)) <= 1
    with pytest.raises(mlflow.exceptions.MlflowException, match="shape"):
        model.predict(np.zeros((2, 3, 8, 8), np.uint8))
