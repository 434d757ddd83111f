"""Bring your own: a network, a norm and images in the user's folder, from the command line to the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_OWN = """
from collections import deque

import numpy as np
import torch.nn.functional as F
from torch import nn


def images():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    return {"images": rng.integers(0, 80, (120, 6, 6), dtype=np.uint8) + 80 * labels[:, None, None].astype(np.uint8),
            "labels": labels}


def network(image_shape, classes, model):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, classes))


def norm(features, settings):
    return nn.LayerNorm(features)


class Noisy(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(36, 12), nn.BatchNorm1d(12), nn.Linear(12, classes)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(F.dropout(self.norm(self.first(x.flatten(1))).relu(), 0.5))


class Recent(nn.Module):
    def __init__(self):
        super().__init__()
        self.recent = deque(maxlen=3)

    def forward(self, x):
        if self.training:
            self.recent.append(float(x.detach().mean()))
        return x - sum(self.recent)


def recent(features, settings):
    return Recent()


def noisy(image_shape, classes, model):
    return Noisy(classes)
"""
# In this process, one pack after another.
_TINY = ("optimizer.lr=0.5", "training.steps=20", "training.batch_size=12", "seed=0,1", "hydra.launcher.n_jobs=1")


@pytest.fixture
def own(folder: Path) -> str:
    """A module in the user's folder, of a name that no other test's has; its name."""
    name = f"own_{folder.parent.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(_OWN)
    return name


def test_a_network_a_norm_and_images_of_one_s_own(own: str, folder: Path, bnbench: Command) -> None:
    words = ["data=custom", f"data.factory={own}:images", "model=custom", f"model.factory={own}:network"]
    answer = bnbench(*words, "norm=custom", f"norm.factory={own}:norm", *_TINY)
    assert (answer.status, answer.err) == (0, [])
    assert not any("not in packs" in line for line in answer.out)
    [table] = [pd.read_csv(file) for file in (folder / "runs" / "latest").glob("trials.csv")]
    assert table["status"].tolist() == ["finished"] * 2
    assert any(" in 1 pack on 1 worker" in line for line in answer.out)


def test_what_a_network_does_beside_computing_is_said_and_verified(own: str, folder: Path, bnbench: Command) -> None:
    """The plan is made on other threads than it is trained on; verify trains in processes of its own."""
    torch.set_num_threads(2)
    words = ["data=custom", f"data.factory={own}:images", "model=custom", f"model.factory={own}:noisy"]
    answer = bnbench(*words, "model.init=torch,own", "norm=batch,none", *_TINY)
    assert (answer.status, answer.err) == (0, [])
    who = f"model.factory={own}:noisy"
    said = [
        "8 trials one by one, not in packs: its forward draws random numbers itself",
        f"{who} brings initial weights of its own in 1 of its 3 layers and norms (head): they are drawn anew, by "
        "model.init=torch, and norms start at their defaults; model.init=own keeps them",
        f"the initial weights that {who} brings in 1 of its 3 layers and norms (head) are kept",
        f"{who} draws random numbers while it is evaluated too (F.dropout without training=self.training, or noise): "
        "accuracies and losses are those of its noisy outputs, from the trial's seed",
    ]
    assert [line for line in said if line not in answer.out] == []
    report = (folder / "runs" / "latest" / "report.md").read_text().replace("\\", "")
    assert [line for line in said if f"{line}." not in report] == []
    verified = bnbench("verify", "--sample", "2")
    assert verified.status == 0, verified.out
    assert "2 of 2 trials retrained alone gave the same digits" in verified.out[-1]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracking.log_model=best", "which tracking.log_model=best cannot keep"),
        ("training.checkpoint_every=5", "which a checkpoint cannot hold; keep it in a buffer (register_buffer)"),
    ],
)
def test_what_a_step_changes_and_nothing_can_hold_is_refused_where_it_must_be_held(
    word: str, said: str, own: str, folder: Path, bnbench: Command
) -> None:
    words = ["data=digits", "norm=custom", f"norm.factory={own}:recent", "plan_only=true", *_TINY]
    assert bnbench(*words).status == 0
    answer = bnbench(*words, word)
    assert answer.status == 2
    [line] = answer.err
    assert "a step changes blocks.0.norm.recent (deque)" in line
    assert said in line
    assert not (folder / "runs" / "mlflow.db").exists()


def test_a_folder_of_images_of_one_s_own(folder: Path, bnbench: Command) -> None:
    from PIL import Image

    for number in range(60):
        place = folder / "photos" / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (7, 5), 60 + 120 * (number % 2) + number).save(place / f"{number}.png")
    answer = bnbench("data=folder", "data.root=photos", "data.image_size=6", "data.train_examples=40", *_TINY)
    assert (answer.status, answer.err) == (0, [])
    said = [
        f"data.root={folder / 'photos'}: {what}"
        for what in (
            "60 images of 1 channel, 6 x 6, with values 60 to 239, in 2 classes of 30",
            "40 / 6 / 12 train / validation / test images",
        )
    ]
    assert [line for line in answer.out if line.startswith("data.root=")] == said
    report = (folder / "runs" / "latest" / "report.md").read_text()
    assert all(f"{line}." in report.replace("\\", "") for line in said)
    [table] = [pd.read_csv(file) for file in (folder / "runs" / "latest").glob("trials.csv")]
    assert table["test/acc"].min() > 0.9
