"""Bad input: a line for each error with the key, the value and what is allowed; status 2; nothing written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config import ConfigError
from bnbench.data import DataError
from bnbench.sweep.error_lines import bad_input, exit_status
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.tracking import TrackingError

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_BAD = [
    # values
    (["norm.placement=sideways"], ["norm.placement", "sideways", "before, after"]),
    (["training.batch_size=0"], ["training.batch_size=0", "a whole number >= 1"]),
    (["optimizer.lr=nan"], ["optimizer.lr=nan", "a finite number > 0"]),
    (["optimizer.lr=0.1,inf"], ["optimizer.lr=inf", "a finite number > 0"]),
    (["seed=-1"], ["seed=-1", "a whole number >= 0"]),
    (["seed=0,-1"], ["seed=-1", "a whole number >= 0"]),
    (["optimizer.lr=fast"], ["optimizer.lr", "fast", "Float"]),
    (["training.steps=5,x"], ["training.steps=x", "Integer"]),
    (["training.batch_size=[1,8]"], ["training.batch_size", "[1, 8]"]),
    (["training.batch_size=9999"], ["training.batch_size=9999", "at most 3500"]),
    (
        ["training.steps=10", "training.epochs=2"],
        ["training.steps=10", "training.epochs=2", "give one of them"],
    ),
    (["training.examples=0"], ["training.examples=0", "a whole number >= 1"]),
    (["training.targets=[1.5]"], ["training.targets", "1.5", "> 0 and <= 1"]),
    (["data.targets={fc:0.5}"], ["data.targets.fc=0.5", "list"]),
    (
        ["norm=batch", "training.batch_size=1"],
        ["training.batch_size=1", "norm.single_value=constant", "norm=none"],
    ),
    (["tracking.uri=ftp://x"], ["tracking.uri=ftp://x", "sqlite:"]),
    (["norm=group", "norm.groups=0"], ["norm.groups=0", "a whole number >= 1"]),
    (["norm=group", "norm.groups=3"], ["norm.groups=3", "100 channels"]),
    # keys
    (["+typo=1"], ["typo", "allowed", "training"]),
    (["norm.typo=1"], ["norm.typo", "allowed", "placement"]),
    (["norm.typo=1,2"], ["norm.typo", "allowed", "placement"]),
    (["+norm.typo=1"], ["norm.typo", "allowed", "placement"]),
    # names
    (["model=nope"], ["model=nope", "allowed", "cnn, custom, fc"]),
    (["model=fc,nope"], ["model=nope", "allowed", "cnn, custom, fc"]),
    (["model.name=nope"], ["model=nope", "allowed", "fc, cnn"]),
    (["norm=nope"], ["norm=nope", "allowed", "batch", "layer", "none"]),
    (["+sweep=nope"], ["+sweep=nope", "placement", "smoke"]),
    (["+sweep=[smoke,nope]"], ["sweep/nope"]),
    (["sweep=placement"], ["+sweep=placement"]),
    (["+sweep=placement,smoke"], ["+sweep=placement,smoke names several sweeps", "sweep.parts=[a,b]"]),
    (["+sweep=[placement,smoke]"], ["+sweep=[placement,smoke] names several sweeps", "sweep.parts=[a,b]"]),
    (["+sweep=[claims,smoke]"], ["+sweep=[claims,smoke] names several sweeps", "sweep.parts=[a,b]"]),
    (["+sweep=smoke", "+experiment=conv20"], ["+sweep=smoke +experiment=conv20 names several sweeps"]),
    # axes
    (["seed=range(0)"], ["seed=range(0)"]),
    (["optimizer.lr=interval(0,1)"], ["optimizer.lr=interval(0,1)", "optimizer.lr=a,b"]),
    (["model=glob(*)"], ["model=glob(*)", "model=a,b"]),
    # words
    (["garbage"], ["garbage"]),
    (["=0"], ["must be a string", "KEY=VALUE"]),
    (["~=0"], ["must be a string", "KEY=VALUE"]),
    (["data=0"], ["KEY=VALUE"]),
    (["+="], ["KEY=VALUE"]),
    (["sweep.parts=${seed}"], ["sweep.parts=0", "a list"]),
    (["seed=0", "[["], ["[["]),
    # Hydra's own settings
    (["hydra.mode=RUN"], ["hydra.mode=RUN", "MULTIRUN"]),
    (["hydra/launcher=nope"], ["hydra/launcher=nope", "joblib", "ray, slurm"]),
    (["--config-dir", "nowhere"], ["nowhere"]),
    (["--config-dir", "nowhere", "+sweep=mine"], ["nowhere"]),
    # files
    (
        ["data=mnist", "data.download=false"],
        ["data=mnist", "train-images-idx3-ubyte", "data.root", "data=mnist_5k"],
    ),
    # verbs
    (["explain", "model=nope"], ["model=nope", "cnn, custom, fc"]),
    (["explain", "data.name=nope"], ["data=nope", "mnist_5k"]),
    (["explain", "norm=group", "norm.groups=7"], ["norm.groups=7", "100 channels"]),
    (["explain", "norm=group", "norm.groups=0"], ["norm.groups=0", "a whole number >= 1"]),
    (["explain", "training.batch_size=0"], ["training.batch_size=0", ">= 1"]),
    (["list", "everything"], ["list everything", "--config-dir"]),
    (["list", "--config-dir", "nowhere"], ["nowhere"]),
    (["report"], ["runs/mlflow.db"]),
    (["report", "one", "two"], ["report two", "allowed: report [SWEEP] [--format"]),
    (["report", "--fromat", "md"], ["report --fromat", "--format"]),
    (["report", "runs_dri=x"], ["report runs_dri=x", "runs_dir=…"]),
]


@pytest.mark.parametrize(("words", "said"), _BAD, ids=[" ".join(words) for words, _ in _BAD])
def test_bad_input_is_answered_in_one_line_and_nothing_is_written(
    words: list[str], said: list[str], bnbench: Command, folder: Path
) -> None:
    answer = bnbench(*words)
    assert len(answer.err) == 1, answer.err
    assert [part for part in said if part not in answer.err[0]] == [], answer.err
    assert answer.status == 2
    assert [*folder.rglob("*")] == []


def test_two_errors_are_two_lines(bnbench: Command, folder: Path) -> None:
    answer = bnbench("seed=-1", "optimizer.lr=0,1", "norm.momentum=2")
    assert [line.partition("=")[0] for line in answer.err] == ["seed", "norm.momentum", "optimizer.lr"]
    assert answer.status == 2
    assert [*folder.rglob("*")] == []


_SWEEP = "hydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
_FILES = {
    "no_package": ("sweep:\n  question: Why?\n" + _SWEEP, ["no_package", "# @package _global_"]),
    "no_package_hydra_alone": (_SWEEP, ["no_package_hydra_alone", "# @package _global_"]),
    "not_yaml": ("# @package _global_\nhydra:\n  sweeper: {params: [\n", ["not_yaml.yaml"]),
    "unknown_key": ("# @package _global_\n" + _SWEEP.replace("params", "parms"), ["unknown_key", "parms"]),
    "unknown_axis": ("# @package _global_\n" + _SWEEP.replace("seed", "sede"), ["sede"]),
    "unknown_choice": (
        "# @package _global_\n" + _SWEEP.replace("seed: 0,1", "norm: bacth"),
        ["norm=bacth", "batch"],
    ),
    "mode_run": (
        "# @package _global_\n" + _SWEEP.replace("hydra:", "hydra:\n  mode: RUN"),
        ["hydra.mode=RUN"],
    ),
    "flat_arms": (
        "# @package _global_\nhydra:\n  sweeper:\n    arms:\n      norm: [norm=none]\n",
        ["arms.norm"],
    ),
    "empty_axis": ("# @package _global_\n" + _SWEEP.replace("0,1", "[]"), ["seed=[]"]),
    "own_typo": ("# @package _global_\ntrainig:\n  steps: 5\n" + _SWEEP, ["trainig"]),
}


@pytest.mark.parametrize("name", _FILES)
def test_a_sweep_file_with_a_mistake_is_answered_in_one_line(
    name: str, bnbench: Command, folder: Path, own_configs: Callable[..., Path]
) -> None:
    text, said = _FILES[name]
    answer = bnbench("--config-dir", str(own_configs(**{name: text})), f"+sweep={name}")
    assert len(answer.err) == 1, answer.err
    assert [part for part in said if part not in answer.err[0]] == [], answer.err
    assert answer.status == 2
    assert [*folder.rglob("*")] == []


def test_bad_input_is_answered_the_same_way_in_a_process_of_its_own_before_heavy_imports(
    folder: Path,
) -> None:
    code = """if True:
        import sys
        from bnbench.__main__ import main
        try:
            main()
        finally:
            print(*sorted({"torch", "mlflow", "pytorch_lightning", "pandas"} & sys.modules.keys()))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, "optimizer.lr=nan", "norm=batch"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines() == ["optimizer.lr=nan is not allowed; it must be a finite number > 0"]
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == ""
    assert [*folder.rglob("*")] == []


# Which exceptions are a user's mistake.


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (ConfigError("one\ntwo"), ["one", "two"]),
        (DataError("no files"), ["no files"]),
        (TrackingError("no store"), ["no store"]),
        (HydraException("first\n  second\n"), ["first second"]),
        (ZeroDivisionError(), None),
        (ValueError("a bug"), None),
    ],
)
def test_a_user_s_mistake_is_told_from_a_bug(error: Exception, lines: list[str] | None) -> None:
    assert bad_input(error) == lines


def test_omegaconf_s_errors_name_the_key_on_one_line() -> None:
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.create({"a": {"b": "${nowhere}"}}).a.b  # noqa: B018
    [line] = bad_input(caught.value) or []
    assert line.startswith("a.b: ")
    assert "nowhere" in line


def _raise(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("bad"), 2, "bad\n"),
        (SweepFailedError("3 trials failed:\nx: out of memory"), 1, "3 trials failed:\nx: out of memory\n"),
        (KeyboardInterrupt(), 130, "interrupted; the same command again trains only what is missing\n"),
    ],
)
def test_the_exit_status_tells_how_it_went(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(_raise(error)) == status
    assert capsys.readouterr().err == said


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_status(_raise(ZeroDivisionError()))


def test_success_is_status_0() -> None:
    assert exit_status(lambda: None) == 0


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    command = f"'{sys.executable}' -m bnbench explain model=cnn | head -n 1"
    answer = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert answer.stdout.startswith("model=cnn")
    assert answer.stderr == ""
