"""`bnbench.run` in a real notebook, executed in a kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import bnbench
from bnbench.config import ConfigError
from bnbench.examples.network import residual
from bnbench.lessons.notebook import execute, outputs
from bnbench.lessons.page import as_page
from bnbench.lessons.source import parse

_NOTEBOOK = """# %% [markdown] tags=["title"] seconds=20
# # A sweep
# %% [markdown] tags=["question"]
# How many?
# %%
import bnbench
{cell}
# %% tags=["answer"]
print(len(sweep.trials))
# %% [markdown] tags=["sources"]
# None.
"""


@pytest.mark.slow
def test_a_run_in_a_notebook_has_one_bar_that_ends_full_and_no_lines_of_progress(tmp_path: Path) -> None:
    cell = 'sweep = bnbench.run("data=digits", "model=fc", "norm=none,batch", "seed=range(2)", "training.steps=300")'
    lesson = parse("sweep", _NOTEBOOK.format(cell=cell))
    notebook, seconds = execute(lesson, tmp_path)
    found = outputs(notebook)
    bars = [output["data"] for output in found if "<progress" in output.get("data", {}).get("text/html", "")]
    assert len(bars) == 1
    assert bars[0]["text/plain"].startswith("100% |█")
    assert 'value="1.000"' in bars[0]["text/html"]
    assert bars[0]["text/plain"].count("trials done") == 1
    assert "4 of 4 trials done" in bars[0]["text/plain"]
    printed = "".join(output["text"] for output in found if output["output_type"] == "stream")
    assert "trials done" not in printed
    page = as_page(lesson, notebook, seconds)
    assert page.count("trials done") == 1


_NETWORK = """from torch import nn

WIDTH = 8

class MyNet(nn.Module):
    def __init__(self, image_shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[0], WIDTH, 3)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.act = nn.ReLU()
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x):
        return self.head(self.act(self.norm(self.conv(x))).mean((2, 3)))

sweep = bnbench.run(
    "data=digits", "norm=none,batch", "norm.placement=before,after", "seed=0,1", "training.steps=20", network=MyNet
)"""


_NORM = """import torch
from torch import nn

class MyNorm(nn.Module):
    removes_shift, over_batch = True, True

    def __init__(self, features):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, x):
        return self.scale * (x - x.mean(0)) / (x.std(0, correction=0) + 1e-3)

sweep = bnbench.run("data=digits", "norm=none,batch,custom", "training.steps=20", "model.width=8", norm=MyNorm)"""


@pytest.mark.slow
def test_a_norm_of_a_cell_is_swept_and_verified_later(tmp_path: Path) -> None:
    notebook, _ = execute(parse("sweep", _NOTEBOOK.format(cell=_NORM)), tmp_path)
    assert outputs(notebook)[-1]["text"] == "3\n"
    [written] = (tmp_path / "bnbench_norms").glob("MyNorm_*.py")
    assert "bnbench.run" not in written.read_text()
    _verify(tmp_path)


@pytest.mark.slow
def test_a_network_of_a_cell_is_swept_and_verified_later(tmp_path: Path) -> None:
    notebook, _ = execute(parse("sweep", _NOTEBOOK.format(cell=_NETWORK)), tmp_path)
    assert outputs(notebook)[-1]["text"] == "6\n"  # none, before, after; two seeds
    [written] = (tmp_path / "bnbench_networks").glob("MyNet_*.py")
    assert "bnbench.run" not in written.read_text()
    _verify(tmp_path)


def _verify(folder: Path) -> None:
    """See that another process, in the notebook's folder, trains trials again to the same bits."""
    verify = [sys.executable, "-m", "bnbench", "verify", "--sample", "2"]
    done = subprocess.run(verify, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2" in done.stdout


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["model=fc"], {"network": residual}, "network= and model=fc contradict each other"),
        (
            ["norm=none,batch"],
            {"norm": nn.BatchNorm1d},
            "norm= and norm=none,batch contradict each other; .*norm=…,custom",
        ),
        (["norm.factory=a:b"], {"norm": nn.BatchNorm1d}, "norm= and norm.factory=a:b contradict each other"),
    ],
)
def test_what_is_given_beside_words_that_name_another_is_refused(
    words: list[str], given: dict[str, type[nn.Module]], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        bnbench.run(*words, **given)


def test_a_norm_that_is_given_is_compared_with_others(tmp_path: Path) -> None:
    words = ("data=digits", "norm=none,custom", "training.steps=3", "model.width=8", f"runs_dir={tmp_path}")
    sweep = bnbench.run(*words, "hydra.launcher.n_jobs=1", norm=nn.InstanceNorm1d)
    assert sorted(sweep.trials["norm"]) == ["custom", "none"]
    assert set(sweep.trials["norm.factory"].dropna()) == {"torch.nn.modules.instancenorm:InstanceNorm1d"}
