"""`advise`: a network's norms are listed, every question is trained, and one sentence says what the network needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_OWN = """
import numpy as np
import torch.nn.functional as F
from torch import nn


def images():
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    return {"images": rng.integers(0, 80, (150, 6, 6), dtype=np.uint8) + 80 * labels[:, None, None].astype(np.uint8),
            "labels": labels}


def net(image_shape, classes, model):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8),
                         nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes))


def tokens(image_shape, classes, model):
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, classes))


class Function(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(36, classes)

    def forward(self, x):
        return self.head(F.layer_norm(x.flatten(1), (36,)))


def function(image_shape, classes, model):
    return Function(classes)
"""


@pytest.fixture
def own(folder: Path) -> str:
    """A module in the user's folder, of a name that no other test's has; its name."""
    name = f"own_{folder.parent.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(_OWN)
    return name


@pytest.fixture
def words(own: str) -> list[str]:
    return ["data=custom", f"data.factory={own}:images", f"model.factory={own}:net", "training.batch_size=16"]


def test_the_norms_of_a_network_are_listed(words: list[str], bnbench: Command, folder: Path) -> None:
    answer = bnbench("advise", "--sites", *words)
    assert (answer.status, answer.err) == (0, [])
    assert [line.split() for line in answer.out[1:]] == [
        ["2", "BatchNorm1d", "8", "1", "ReLU", "after", "it", "after"],
        ["5", "BatchNorm1d", "8", "4", "ReLU", "after", "it", "after"],
    ]
    assert not (folder / "runs").exists()


def test_it_trains_every_question_and_says_what_the_network_needs(
    words: list[str], bnbench: Command, folder: Path
) -> None:
    tiny = ["training.steps=8", "optimizer.lr=0.03,0.3", "sweep.tuning_seeds=[100]", "hydra.launcher.n_jobs=1"]
    answer = bnbench("advise", *words, *tiny, "sweep.max_seeds=10", "--ask", "none,placement,part")
    assert (answer.status, answer.err) == (0, [])
    trials = pd.read_csv(folder / "runs" / "latest" / "trials.csv", dtype=str, keep_default_na=False)
    arms = trials[["norm", "norm.placement", "norm.without"]].drop_duplicates()
    assert sorted(map(tuple, arms.to_numpy())) == [
        ("none", "", ""), ("own", "", ""), ("own", "", "2"), ("own", "", "5"), ("own", "after", "")
    ]  # fmt: skip
    assert (trials["status"] == "finished").all()
    reasons = [line for line in answer.out if line.startswith("- ")][-4:]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "- no norm", "- batch norm after the activation", "- no norm in 2", "- no norm in 5"
    ]  # fmt: skip
    said = answer.out[answer.out.index(reasons[0]) - 1]
    assert said.endswith(".")
    page = (folder / "runs" / "latest" / "advice.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert said in page
    assert page.count("BatchNorm1d") == 2
    assert '<a href="report.html">' in page
    command = json.loads((folder / "runs" / "latest" / "manifest.json").read_text())["command"]
    assert command[:4] == ["python", "-m", "bnbench", "advise"]
    again = bnbench(*command[3:])
    assert (again.status, again.err) == (0, [])
    assert any(line.startswith("10 trials (0 duplicates dropped, 10 finished before") for line in again.out)
    assert said in again.out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["norm=batch"], "norm=batch is not for advise, whose questions decide norm; leave it out"),
        (["training.steps=5,6"], "training.steps=5,6 has several values, and advise answers for one setting"),
        (["--ask", "nones"], "advise --ask nones is unknown; allowed: none, placement, kind, part"),
        (["--norms", "none"], "advise --norms none is unknown; allowed: batch"),
        (["optimizer.lr=fast"], "optimizer.lr"),
    ],
)
def test_a_word_that_does_not_fit_is_answered_in_one_line(
    typed: list[str], said: str, words: list[str], bnbench: Command, folder: Path
) -> None:
    answer = bnbench("advise", *words, *typed)
    assert answer.status == 2
    [line] = answer.err
    assert said in line
    assert not (folder / "runs" / "mlflow.db").exists()


def test_without_a_network_it_says_what_it_needs(bnbench: Command) -> None:
    answer = bnbench("advise")
    assert (answer.status, answer.err) == (2, ["advise needs a network; give model.factory=package.module:function"])


@pytest.mark.parametrize(
    ("network", "typed", "said"),
    [
        ("function", ["norm=batch"], "its forward calls layer_norm (own_"),
        ("tokens", ["norm=own", "norm.placement=before,after"], "norm.placement=after changes nothing in"),
        ("net", ["norm=own", "norm.without=7"], "norm.without=7 is no norm of"),
        ("net", ["norm=own", "model=fc"], "norm=own is for the norms that model=custom has itself"),
        ("net", ["norm.without=2", "model=fc"], "norm.without=2 is for model=custom; model=fc does not use it"),
    ],
)
def test_what_cannot_be_asked_of_a_network_is_said_before_training(
    network: str, typed: list[str], said: str, own: str, bnbench: Command
) -> None:
    model = [] if "model=fc" in typed else ["model=custom", f"model.factory={own}:{network}"]
    answer = bnbench(
        "data=custom", f"data.factory={own}:images", "training.batch_size=16", *model, *typed, "plan_only=true"
    )
    assert answer.status == 2
    assert any(said in line for line in answer.err), answer.err


def test_two_placements_of_an_own_network_are_two_trials(words: list[str], bnbench: Command) -> None:
    answer = bnbench(*words, "model=custom", "norm=batch", "norm.placement=before,after", "plan_only=true")
    assert (answer.status, answer.err) == (0, [])
    assert answer.out[-1].startswith("2 trials (0 duplicates dropped")
