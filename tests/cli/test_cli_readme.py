"""Every command of the README and of the pages in bnbench/docs runs, in its order, at smoke size."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_TOP = Path(__file__).parents[2]
_PAGES = [_TOP / "README.md", *(_TOP / "bnbench" / "docs" / f"{name}.md" for name in ("sweeps", "claims", "mlflow"))]
_PAGES += [_TOP / "bnbench" / "docs" / f"{name}.md" for name in ("reproducibility", "own", "findings")]
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
_PREFIX = ["python", "-m", "bnbench"]

# In this process, one pack after another, two steps of one seed.
_SMALL = ("training.steps=2", "training.eval_examples=50", "seed=0", "sweep.tuning_seeds=[]", "hydra.launcher.n_jobs=1")
_VERBS = {"list", "explain", "runs", "status", "sync", "verify", "reproduce", "pack", "load", "docs", "findings"} | {
    "advise",
    "lesson",
}
# An hour; their parts are sweeps with tests of their own.
_LONG = ("+sweep=claims", "--run")

_MODULE = """
from torch import nn


def function(features, norm):
    return nn.BatchNorm1d(features)
"""


def _commands() -> list[list[str]]:
    lines = [line for page in _PAGES for block in _BLOCK.findall(page.read_text()) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [command[len(_PREFIX) :] for command in words if command[: len(_PREFIX)] == _PREFIX]


def _at_smoke_size(words: list[str]) -> list[str]:
    if words[:1] == ["claims"] and "--run" not in words:
        return words
    if words[:1] == ["card"]:
        return [*words, "plan_only=true"]
    if words and words[0] in _VERBS:
        return words
    if any(word in _LONG for word in words):
        return [*words, "sweep.parts=[bias]", "plan_only=true"]
    if "sweep.until=settled" in words:  # which takes its seeds itself
        return [*words, *(word for word in _SMALL if not word.startswith("seed=")), "sweep.max_seeds=10", "model=fc"]
    return [*words, *_SMALL]


@pytest.fixture
def files(folder: Path) -> Iterator[None]:
    """What stands for the user's own files in the README."""
    from PIL import Image

    for number in range(30):
        place = folder / "FOLDER" / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (7, 5), 60 + 120 * (number % 2) + number).save(place / f"{number}.png")
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6), dtype=np.uint8)
    np.savez(folder / "FILE.npz", images=images, labels=np.arange(60) % 2)
    (folder / "package").mkdir()
    (folder / "package" / "module.py").write_text(_MODULE)
    yield
    for name in ("package", "package.module"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("files")
def test_every_command_of_the_readme_and_the_pages_runs(bnbench: Command) -> None:
    commands = _commands()
    assert len(commands) > 20
    for words in dict.fromkeys(map(tuple, commands)):
        # The batches of the smallest data sets above are smaller than the default one.
        small = ["training.batch_size=8"] if {"data=folder", "data=arrays"} & {*words} else []
        answer = bnbench(*_at_smoke_size([*words]), *small)
        # Of no sweep are all trials trained at smoke size: it is left out of the findings, and a line says so.
        left_out = [line for line in answer.err if words[:1] == ("findings",) and "is left out" in line]
        assert (answer.status, answer.err) == (0, left_out), words
        assert answer.out, words
