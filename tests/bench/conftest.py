"""Small workloads, and one whole run of the command that several tests look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnbench.config import Trial
from bnbench.data import ImageData
from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()  # before a test imports Lightning

FC = ("data=digits", "model=fc", "model.width=12", "model.depth=2", "training.batch_size=8")
CNN = ("data=digits", "model=cnn", "model.width=2", "model.depth=4", "model.hidden=8", "training.batch_size=8")
NETWORKS = {
    "fc, no norm": (*FC, "norm=none"),
    "fc, batch norm before": (*FC, "norm=batch"),
    "fc, batch norm after": (*FC, "norm=batch", "norm.placement=after"),
    "fc, sigmoid loss": (*FC, "norm=batch", "training.loss=sigmoid", "optimizer.lr=1"),
    "cnn, batch norm, adam": (*CNN, "norm=batch", "optimizer=adam"),
    "residual, batch norm": (
        "data=digits",
        "model=custom",
        "model.factory=bnbench.examples.network:residual",
        "model.width=4",
        "norm=batch",
        "training.batch_size=8",
    ),
    "cnn, layer norm": (*CNN, "norm=layer", "optimizer=momentum"),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def network(request: pytest.FixtureRequest) -> list[str]:
    """The overrides of each kind of network."""
    return [*request.param]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    from bnbench.bench.workloads import load_images

    return load_images(FC, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    from bnbench.bench.workloads import trials_of

    return lambda overrides, seed=0: trials_of(overrides, [seed])[0]


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    """`bench --quick --json`: what it printed, its lines on stderr, and where its temporary files were."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    temporary, home = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-m", "bnbench", "bench", "--quick", "--json"],
        cwd=home,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [*home.iterdir()] == []
    return json.loads(done.stdout), done.stderr.splitlines(), temporary
