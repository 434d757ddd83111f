"""The commands of the page on clusters run, at smoke size, to the bytes of a sweep without a cluster.

Ray's are run on a cluster of three nodes, whose processes have another environment than the command, and none of its
folders.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BeginRay = Callable[..., tuple[subprocess.Popen[str], str]]

_PAGE = Path(__file__).parents[2] / "bnbench" / "docs" / "cluster.md"
_SMALL = ("model=fc", "training.steps=20", "seed=0", "sweep.tuning_seeds=[]", "training.max_pack=4")
_TABLES = ("trials.csv", "curves.csv")


def _on_page(start: str) -> list[str]:
    """The words behind `python -m bnbench` of the page's command that has some; or the words alone that it names."""
    text = _PAGE.read_text(encoding="utf-8")
    prefix = "python -m bnbench "
    commands = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
    commands += ["+sweep=placement " + words for words in re.findall(r"`(hydra[^`]+)`", text)]
    [words] = [shlex.split(line) for line in commands if start in line]
    return words


def _run(folder: Path, *words: str) -> tuple[str, list[bytes]]:
    """What a command says, and its tables."""
    command = [sys.executable, "-m", "bnbench", *words, *_SMALL]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, [(folder / "runs" / "latest" / name).read_bytes() for name in _TABLES]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The tables of the same sweep, trained in the command's own process."""
    return _run(tmp_path_factory.mktemp("here"), "+sweep=placement", "hydra.launcher.n_jobs=1")[1]


@pytest.fixture
def three_nodes(begin_ray: BeginRay, tmp_path: Path) -> tuple[str, bool]:
    """The address of a cluster that has a home of its own, and whether the folder `work` is hidden from it.

    It is where this account may mount a file system.
    """
    (tmp_path / "work").mkdir()
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(tmp_path / "work")]
    if subprocess.run([*hide, "true"], check=False, capture_output=True).returncode:
        hide = []
    _, address = begin_ray(tmp_path / "home", head_cpus=1, around=hide)
    return address, bool(hide)


def test_on_three_nodes_of_ray_that_share_no_folder_a_sweep_is_the_same(
    three_nodes: tuple[str, bool], here: list[bytes], tmp_path: Path
) -> None:
    address, is_hidden = three_nodes
    words = [word.replace("HOST:6379", address) for word in _on_page("address=HOST:6379")]
    assert words[:2] == ["+sweep=placement", "hydra/launcher=ray"]
    said, tables = _run(tmp_path / "work", *words)
    assert "3 packs on 3 workers" in said
    assert tables == here
    assert (tmp_path / "home/.cache/bnbench").is_dir() == is_hidden  # where nodes keep images that see no runs_dir


@pytest.mark.slow  # a third start of the same
def test_on_a_ray_of_this_machine_a_sweep_is_the_same(here: list[bytes], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    words = _on_page("address=HOST:6379")[:2]
    assert _run(tmp_path, *words, _on_page("hydra.launcher.address=local")[1])[1] == here


def test_in_processes_of_this_machine_a_sweep_is_the_same(here: list[bytes], tmp_path: Path) -> None:
    assert _run(tmp_path, *_on_page("hydra/launcher=processes"))[1] == here
