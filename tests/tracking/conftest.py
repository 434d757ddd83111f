"""One database for the folder's tests, an experiment of its own for each, and results to record."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking.store import Store

_STEPS = (0, 1, 2, 3, 5, 8, 13, 20)


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("my runs 50% #1")  # characters that a URI has to escape


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def store(runs_dir: Path, request: pytest.FixtureRequest) -> Store:
    return Store.open(Workspace.at(runs_dir, experiment=request.node.nodeid))


@pytest.fixture
def make_result() -> Callable[..., TrialResult]:
    def make(seed: int, **changes: Any) -> TrialResult:
        """A finished trial with metrics that need all their bits."""
        draw = random.Random(seed).random
        values: dict[str, Any] = {
            "key": f"{seed:016x}",
            "params": {
                "seed": seed,
                "model": "fc",
                "norm": "batch",
                "norm.placement": "before",
                "norm.affine": True,
                "optimizer.lr": 0.1,
                "training.batch_size": 60,
                "training.steps": 20,
                "training.eval_examples": None,
            },
            "status": "finished",
            "metrics": {
                names.TEST_ACC: draw(),
                names.TEST_LOSS: draw() * 1e-300,
                names.steps_to(0.9): 13.0,
                names.reached(0.9): 1.0,
            },
            "curves": {
                names.TRAIN_LOSS: [(step, draw()) for step in _STEPS[1:]],
                names.VAL_ACC: [(step, draw()) for step in _STEPS],
                names.VAL_ACC_BATCH: [(step, draw()) for step in _STEPS[::3]],
            },
            "tags": {names.Tag.PACK: "p", names.Tag.SLOT: "0"},
            "data": {
                "name": "mnist_5k",
                "source": "embedded",
                "checksum": "ab" * 32,
                "train": 3500,
                "val": 500,
                "test": 1000,
            },
            "started": 1e9,
            "ended": 1e9 + 10,
        }
        return TrialResult(**{**values, **changes})

    return make


@pytest.fixture
def start(store: Store) -> Callable[..., str]:
    def start_sweep(results: list[TrialResult], *, name: str = "placement", id: str = "0a1b", **more: Any) -> str:
        meta = {
            "name": name,
            "id": id,
            "question": "Before or after?",
            "command": ["python", "-m", "bnbench", "+sweep=placement"],
            "tuning_seeds": [100],
            "git": {"commit": "c" * 40, "dirty": True},
            **more,
        }
        return store.start_sweep(SweepRecord.from_json(meta), [PlannedTrial(r.key, r.params) for r in results])

    return start_sweep
