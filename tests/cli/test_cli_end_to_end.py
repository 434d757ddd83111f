"""The whole way, tiny: from the command line to the report, with the same numbers each time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import bnbench as package
from bnbench.record.results import TrialResult
from bnbench.sweep.running import worker

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_OWN_SWEEP = """# @package _global_
# Does a sweep file of one's own work?
sweep:
  question: Does a sweep file of one's own work?
  compare: [norm]
data:
  targets: {fc: [0.2]}
training:
  steps: 5
hydra:
  sweeper:
    params:
      data: digits
      model: fc
      norm: none,batch
      seed: [0, 1]
"""
# In this process, one pack after another: nothing to start, and what a test replaces is replaced.
_HERE = "hydra.launcher.n_jobs=1"
_TINY = ("data=digits", "model=fc", "norm=none,batch", "training.steps=5", "seed=0,1", _HERE)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A user's sweep, on two workers, from another folder and into one with a name that needs care."""
    home = tmp_path_factory.mktemp("home")
    configs = home / "configs" / "sweep"
    configs.mkdir(parents=True)
    (configs / "mine.yaml").write_text(_OWN_SWEEP)
    runs = home / "Jürgen's $runs {1}"
    words = ["--config-dir", str(configs.parent), "+sweep=mine", f'runs_dir="{runs}"']
    done = subprocess.run(
        [sys.executable, "-m", "bnbench", *words], cwd=home, capture_output=True, text=True, check=False
    )
    return runs, done


def _metrics(runs: Path) -> pd.DataFrame:
    """The final numbers as they stand in the newest sweep's file: text, to the last digit."""
    table = pd.read_csv(runs / "latest" / "trials.csv", dtype=str, keep_default_na=False)
    return table.set_index(["norm", "seed"]).sort_index().filter(regex="/")


def test_runs_lists_a_sweep_with_the_answers_that_its_report_opens_with(
    first: tuple[Path, subprocess.CompletedProcess[str]], bnbench: Command
) -> None:
    runs, done = first
    page = (runs / "index.html").read_text()
    answer = bnbench("runs", f'runs_dir="{runs}"')
    assert answer.status == 0
    line, headline = answer.out[:2]
    [sweep] = runs.glob("mine-*")
    assert line.endswith(f"  {sweep.name}  4 trials, finished")
    assert headline.strip() in done.stdout
    assert f'<a href="{sweep.name}/report.html">' in page
    assert (runs / "index.html").read_text() == page


def test_a_user_s_own_sweep_trains_and_reports(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    runs, done = first
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "mine: Does a sweep file of one's own work?"
    assert "4 trials (0 duplicates dropped, 0 finished before, 0 undefined) in 2 packs" in done.stdout
    assert sum(line.startswith(("report:", "charts:", "done in")) for line in lines) == 3
    [sweep] = runs.glob("mine-*")
    assert (runs / "latest").resolve() == sweep
    assert {file.name for file in sweep.iterdir()} == {
        "report.html",
        "report.md",
        "report.tex",
        "trials.csv",
        "curves.csv",
        "arms.csv",
        "differences.csv",
        "robustness.csv",
        "trials.parquet",
        "manifest.json",
        "figures",
    }
    assert {file.suffix for file in (sweep / "figures").iterdir()} == {".svg", ".png", ".pdf"}
    trials = pd.read_csv(sweep / "trials.csv")
    assert len(trials) == 4
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    assert "<html" in (sweep / "report.html").read_text().lower()
    manifest = json.loads((sweep / "manifest.json").read_text())
    assert manifest["command"][-2] == "+sweep=mine"


def _charted(runs: Path) -> dict[str, float]:
    """What MLflow draws as the bar of each level, over all runs of means that the store has."""
    from bnbench.config.workspace import Workspace
    from bnbench.tracking import Store

    connection = Store.open(Workspace.at(runs))._connection
    sweep = package.load("latest", f'runs_dir="{runs}"').table.record.place.run_id
    wanted = f"tags.`bnbench.kind` = 'mean' AND tags.`mlflow.parentRunId` = '{sweep}'"
    found = connection.client.search_runs([connection.experiment_id], wanted)
    assert len(found) == 6
    means: dict[str, list[float]] = {}
    for run in found:
        [value] = [value for key, value in run.data.metrics.items() if key.startswith("test accuracy")]
        means.setdefault(run.data.tags["bnbench.level"].rstrip(), []).append(value)
    return {level: sum(values) / len(values) for level, values in means.items()}


def test_mlflow_draws_the_means_of_the_table_once_also_after_another_report(
    first: tuple[Path, subprocess.CompletedProcess[str]], bnbench: Command
) -> None:
    runs, _ = first
    trials = pd.read_csv(runs / "latest" / "trials.csv", keep_default_na=False)
    means = (100 * trials.groupby("norm")["test/acc"].mean()).to_dict()
    assert _charted(runs) == pytest.approx(means)
    answer = bnbench("report", f'runs_dir="{runs}"')
    assert (answer.status, answer.err) == (0, [])
    assert _charted(runs) == pytest.approx(means)


def test_the_same_command_again_trains_nothing_and_says_the_same(
    first: tuple[Path, subprocess.CompletedProcess[str]], bnbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, _ = first
    monkeypatch.setattr(worker, "_fit", lambda *_: pytest.fail("trained again"))
    before = _metrics(runs)
    words = [
        "data=digits",
        "model=fc",
        "norm=none,batch",
        "training.steps=5",
        "seed=0,1",
        "data.targets={fc:[0.2]}",
    ]
    answer = bnbench(*words, f'runs_dir="{runs}"', _HERE)
    assert (answer.status, answer.err) == (0, [])
    assert any("4 trials (0 duplicates dropped, 4 finished before, 0 undefined) in 0 packs" in s for s in answer.out)
    pd.testing.assert_frame_equal(_metrics(runs), before)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trials of `first` are trained once more, and those of further seeds."""
    runs = tmp_path_factory.mktemp("again")
    package.run(*_TINY, "data.targets={fc:[0.2]}", f"runs_dir={runs}")
    return runs


def test_the_same_trials_elsewhere_give_the_same_numbers_to_the_last_digit(
    first: tuple[Path, subprocess.CompletedProcess[str]], again: Path
) -> None:
    runs, _ = first
    pd.testing.assert_frame_equal(_metrics(again), _metrics(runs))


def test_another_seed_gives_other_numbers(again: Path, bnbench: Command) -> None:
    answer = bnbench(*_TINY, "seed=0,1,2", "data.targets={fc:[0.2]}", f"runs_dir={again}")
    assert answer.status == 0
    assert any("6 trials (0 duplicates dropped, 4 finished before, 0 undefined)" in s for s in answer.out)
    losses = _metrics(again)["test/loss"]
    assert len(losses) == losses.nunique() == 6


def test_a_recorded_sweep_is_read_back_and_reported_again(again: Path, bnbench: Command) -> None:
    sweep = package.load("latest", f"runs_dir={again}")
    file = sweep.folder / "trials.csv"
    written = file.read_bytes()
    assert len(sweep.trials) == len(written.splitlines()) - 1
    file.unlink()
    assert bnbench("report", "--format", "csv", f"runs_dir={again}").status == 0
    assert file.read_bytes() == written


def test_two_stores_are_compared_digit_by_digit(
    first: tuple[Path, subprocess.CompletedProcess[str]], again: Path, bnbench: Command
) -> None:
    runs, _ = first
    answer = bnbench("report", "--against", "latest", "--against-store", str(runs), "--format=md", f"runs_dir={again}")
    assert (answer.status, answer.err) == (0, [])
    assert any("4 of 4 trials trained in both gave the same digits" in line for line in answer.out)
    [path] = [line.removeprefix("report: ") for line in answer.out if line.startswith("report: ")]
    assert Path(path).name.startswith("against-")
    assert "Test accuracy in both sweeps" in Path(path).read_text()


_OTHER = (*_TINY, "training.steps=4")  # trials of their own in the same store


def test_a_failed_pack_costs_its_trials_alone_and_is_trained_again(
    again: Path, bnbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(job: Any, images: Any, trials: Any) -> list[TrialResult]:
        if trials[0].norm.name == "batch":
            raise RuntimeError("out of memory")
        return [TrialResult(t.key, t.params, "finished", metrics={"test/acc": 0.5}) for t in trials]

    monkeypatch.setattr(worker, "_fit", fit)
    answer = bnbench(*_OTHER, f"runs_dir={again}")
    assert answer.status == 1
    assert answer.err[0] == "2 trials failed:"
    assert all("RuntimeError: out of memory" in line for line in answer.err[1:])
    trials = pd.read_csv(again / "latest" / "trials.csv")
    assert dict(trials.groupby("norm")["status"].first()) == {"batch": "failed", "none": "finished"}
    plan = bnbench(*_OTHER, f"runs_dir={again}", "plan_only=true")
    assert any("2 finished before" in line for line in plan.out)


def test_trials_whose_results_never_arrive_are_not_taken_for_done(
    again: Path, bnbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "train_pack", lambda config: None)
    answer = bnbench(*_OTHER, "training.batch_size=16", f"runs_dir={again}")
    assert answer.status == 1
    assert answer.err == ["4 trials left no result; the same command trains what is missing"]


def test_a_plan_alone_makes_no_database_and_no_sweep(bnbench: Command, folder: Path) -> None:
    answer = bnbench(*_TINY, "training.batch_size=1,8", "plan_only=true")
    assert (answer.status, answer.err) == (0, [])
    assert answer.out[-1].startswith("8 trials (0 duplicates dropped, 0 finished before, 2 undefined) in 3 packs on 1 ")
    assert [file.name for file in (folder / "runs").iterdir()] == ["cache"]


@pytest.mark.parametrize("name", ["smoke", "placement", "batch_size", "learning_rate", "architecture"])
def test_our_own_sweeps_can_be_planned(name: str, again: Path, bnbench: Command) -> None:
    answer = bnbench(f"+sweep={name}", "plan_only=true", f"runs_dir={again}")  # where the images are cached
    assert (answer.status, answer.err) == (0, [])
    assert answer.out[0].startswith(f"{name}: ")
    assert answer.out[0].rstrip(")").endswith(("?", "."))


def test_a_sweep_is_narrowed_on_the_command_line(again: Path, bnbench: Command) -> None:
    words = ["+sweep=placement", "model=fc", "seed=range(3)", "plan_only=true", f"runs_dir={again}"]
    answer = bnbench(*words)
    assert (answer.status, answer.err) == (0, [])
    assert answer.out[0].startswith("placement: ")
    rows = [line.split()[0] for line in answer.out[4:-1]]
    assert rows
    assert "cnn" not in rows
