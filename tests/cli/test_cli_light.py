"""What must answer at once: help, the lists, and `import bnbench`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bnbench
from bnbench.__main__ import main
from bnbench.cli.listing import listing
from bnbench.config import ConfigError
from bnbench.config.folder import conf_dir
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.config.schedule_catalog import SCHEDULES
from bnbench.data import DATASETS, OWN
from bnbench.models import MODELS
from bnbench.norms import ALL_NORMS

if TYPE_CHECKING:
    from conftest import Answer

_HEAVY = {"torch", "torchvision", "mlflow", "pytorch_lightning", "pandas", "sklearn", "mlxtend", "matplotlib"}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (None, _HEAVY | {"hydra", "numpy"}),  # import bnbench
        (["--help"], _HEAVY | {"hydra", "numpy"}),
        (["list"], _HEAVY),
        (["docs"], _HEAVY),
        (["docs", "norms"], _HEAVY),
    ],
)
def test_nothing_heavy_is_imported(words: list[str] | None, heavy: set[str], folder: Path) -> None:
    code = """if True:
        import sys
        import bnbench
        if len(sys.argv) > 1:
            from bnbench.__main__ import main
            try:
                main()
            except SystemExit as exit:
                assert not exit.code
        print(*(name for name in sys.modules if "." not in name))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *(words or [])], cwd=folder, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "bnbench" in imported
    assert imported & heavy == set()
    assert done.stderr == ""
    assert [*folder.rglob("*")] == []


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_verb_and_the_first_commands(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bnbench", word])
    with pytest.raises(SystemExit, match="0"):
        main()
    said = capsys.readouterr().out
    for part in (
        "python -m bnbench +sweep=placement",
        "list",
        "explain",
        "report",
        "ui",
        "plan_only=true",
        "runs_dir",
    ):
        assert part in said
    assert max(len(line) for line in said.splitlines()) <= 120


# The lists.


def test_the_list_names_everything_that_can_be_chosen(bnbench: Callable[..., Answer]) -> None:
    answer = bnbench("list")
    assert answer.status == 0
    assert answer.err == []
    names = {line.split()[0] for line in answer.out if line.startswith("  ")}
    files = {file.stem for group in ("sweep", "experiment", "claim") for file in (conf_dir() / group).glob("*.yaml")}
    assert {"placement", "smoke", "fc_lesson"} <= files
    chosen = (MODELS, ALL_NORMS, OPTIMIZERS, SCHEDULES, DATASETS, OWN)
    assert names == files.union(*chosen)


def test_every_sweep_and_experiment_of_ours_is_listed_with_its_question() -> None:
    sections = listing([conf_dir()]).split("\n\n")[:2]
    rows = [line for section in sections for line in section.splitlines() if line.startswith("  ")]
    assert all("?" in row for row in rows), rows


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# @package _global_\nsweep:\n  question: Is it so?\n", "Is it so?"),
        ("# @package _global_\n# From the header.\n# More.\nseed: 1\n", "From the header."),
        ("# @package _global_\n# Header.\nsweep:\n  question: From the key?\n", "From the key?"),
        ("# @package _global_\nseed: 1\n# Too late.\n", ""),
        ("# @package _global_\n# Header.\nruns_dir: ${nowhere}\n", "Header."),
        ("# @package _global_\n# Empty but for this.\n", "Empty but for this."),
        ("- a\n- list\n", ""),
        ("", ""),
    ],
)
def test_a_sweep_s_line_is_its_question_or_its_header(text: str, shown: str, own_configs: Callable[..., Path]) -> None:
    row = listing([own_configs(mine=text)]).splitlines()[1]
    assert row.split(maxsplit=1) == ["mine", shown][: 2 if shown else 1]


def test_a_file_that_cannot_be_read_is_listed_with_the_reason(own_configs: Callable[..., Path]) -> None:
    folder = own_configs(good="# Good.\n", broken="sweep: [\n")
    (folder / "sweep" / "latin.yaml").write_bytes(b"# \xe9t\xe9\n")
    _, *rows = listing([folder]).split("\n\n")[0].splitlines()
    assert [row.split()[0] for row in rows] == ["broken", "good", "latin"]
    assert "broken.yaml cannot be read" in rows[0]
    assert "latin.yaml cannot be read" in rows[2]


def test_a_user_s_sweeps_are_listed_with_ours(bnbench: Callable[..., Answer], own_configs: Callable[..., Path]) -> None:
    folder = own_configs(mine="# Mine?\n", placement="# Hidden by ours, as Hydra hides it.\n")
    answer = bnbench("list", "--config-dir", str(folder))
    said = "\n".join(answer.out)
    assert "Mine?" in said
    assert "Hidden" not in said
    assert sum(line.split()[:1] == ["placement"] for line in answer.out) == 1


def test_a_folder_without_sweeps_is_no_mistake_but_no_folder_is(tmp_path: Path) -> None:
    assert "models, model=NAME" in listing([tmp_path])
    with pytest.raises(ConfigError, match="is not a folder"):
        listing([tmp_path / "nowhere"])


def test_what_python_sees_is_listed_and_each_of_it_is_there() -> None:
    assert {"run", "load", "Sweep", "ConfigError", "SweepFailedError", "TrackingError"} <= {*dir(bnbench)}
    for name in dir(bnbench):
        assert getattr(bnbench, name)
    with pytest.raises(AttributeError, match="module 'bnbench' has no attribute 'rnu'"):
        _ = bnbench.rnu
