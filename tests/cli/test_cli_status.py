"""`status` and `sync`: how far a sweep is, and what the store has not got yet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bnbench.config.workspace import Workspace
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import Asked, SweepRecord
from bnbench.sweep.running import worker
from bnbench.sweep.running.status import describe_status, running_keys
from bnbench.tracking import Running, Sign, Spool, Standing, TrialState

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]

_TINY = ("data=digits", "norm=none,batch", "training.steps=5", "seed=0,1", "hydra.launcher.n_jobs=1")


def _fit(job: Any, images: Any, trials: Any) -> list[TrialResult]:
    if any(trial.norm.name == "batch" and trial.seed == 1 for trial in trials):
        raise RuntimeError("no luck")
    return [TrialResult(t.key, t.params, "finished", metrics={"test/acc": 0.5}) for t in trials]


@pytest.fixture
def runs(tmp_path: Path, bnbench: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs_dir of a sweep of four trials, one of which failed."""
    monkeypatch.setattr(worker, "_fit", _fit)
    assert bnbench(*_TINY, f"runs_dir={tmp_path / 'runs'}").status == 1
    return tmp_path / "runs"


def test_status_counts_by_arm_names_failures_and_says_how_to_go_on(runs: Path, bnbench: Command) -> None:
    answer = bnbench("status", f"runs_dir={runs}")
    assert (answer.status, answer.err) == (0, [])
    first, *rows, failed, go_on = answer.out
    assert "ended, with trials that failed; started 20" in first
    assert [row.split() for row in rows] == [
        ["done", "running", "failed", "to", "do"],
        ["none", "2", "-", "-", "-"],
        ["batch", "1", "-", "1", "-"],
        ["all", "3", "-", "1", "-"],
    ]
    assert failed == "failed: batch seed=1: RuntimeError: no luck"
    assert go_on == f"go on with: {' '.join(['python -m bnbench', *_TINY[:-1], f'runs_dir={runs}'])}"


def _charted(runs: Path) -> dict[str, float]:
    """How many finished trials of each level the charts in MLflow are of."""
    from bnbench.tracking import Store

    connection = Store.open(Workspace.at(runs))._connection
    found = connection.client.search_runs([connection.experiment_id], "tags.`bnbench.kind` = 'mean'")
    assert len(found) == 6
    return {run.data.tags["bnbench.level"].rstrip(): run.data.metrics["trials finished"] for run in found}


def test_results_that_wait_are_counted_as_done_and_delivered_by_sync(runs: Path, bnbench: Command) -> None:
    here, other = Spool.made_for(Workspace.at(runs)), Spool.made_for(Workspace.at(runs, "http://host:1"))
    from bnbench import load

    table = load("latest", f"runs_dir={runs}").table
    [key] = table.trials["key"][table.trials["status"] == "failed"]
    sweep = {"mlflow.parentRunId": table.record.place.run_id}
    result = TrialResult(key, {"seed": 1}, "finished", metrics={"test/acc": 0.5}, tags=sweep)
    for spool in (here, other):
        spool.write([result])
    answer = bnbench("status", f"runs_dir={runs}")
    assert answer.out[-2].split() == ["all", "4", "-", "-", "-"]
    assert (
        answer.out[-1] == f"1 result not yet in the tracking store; `python -m bnbench sync runs_dir={runs}` delivers"
    )
    answer = bnbench("sync", f"runs_dir={runs}")
    assert (answer.status, answer.err) == (0, [])
    assert answer.out == [
        f"1 result delivered to sqlite:///{runs}/mlflow.db",
        "waiting for another store, to be given by tracking.uri=…: 1 result for http://host:1 bnbench",
    ]
    assert _charted(runs) == {"none": 2, "batch": 2}
    assert bnbench("sync", f"runs_dir={runs}").out[0].startswith("0 results delivered")
    assert bnbench("status", f"runs_dir={runs}").out[-1].split() == ["all", "4", "-", "-", "-"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "one", "two"], "status two is not understood"),
        (["status", "--all"], "status --all is not understood"),
        (["status", "model=fc"], "status model=fc is not understood"),
        (["status"], "nothing is recorded in"),
        (["sync", "latest"], "sync latest is not understood"),
        (["sync"], "nothing is recorded in"),
        (["sync", "tracking.uri=http://127.0.0.1:9"], "tracking.uri=http://127.0.0.1:9 cannot be used (Connection"),
    ],
)
def test_bad_words_are_answered_in_one_line(words: list[str], said: str, bnbench: Command, folder: Path) -> None:
    answer = bnbench(*words)
    assert answer.status == 2
    [line] = answer.err
    assert said in line
    assert [*folder.rglob("*")] == []


def test_a_running_sweep_says_which_trials_are_running(tmp_path: Path) -> None:
    (tmp_path / "progress").mkdir()
    written = {"steps": 5, "diverged": 0, "keys": ["a", "b", "c"]}
    (tmp_path / "progress" / "0.json").write_text(json.dumps(written))
    running = running_keys(tmp_path)
    assert running == {"a", "b", "c"}
    states = {"a": "finished", "b": "missing", "c": "missing", "d": "missing", "e": "undefined", "f": "failed"}
    trials = [TrialState(key, "fc", 0, status, "why") for key, status in states.items()]
    record = SweepRecord(Asked("n", "1", created="now", command=["x"]))

    def counts(state: Any) -> list[str]:
        lines = describe_status(Standing(record, state, trials), running, {"c": "diverged"}, "sync it").splitlines()
        return lines[2].split()

    assert counts("running") == ["fc", "3", "1", "1", "1"]
    assert counts("killed") == ["fc", "3", "-", "1", "2"]


def _says(standing: Standing) -> list[str]:
    lines = describe_status(standing, set(), {}, "sync it").splitlines()
    return [lines[0], *lines[3:]]


def test_status_tells_where_sweeps_run_and_what_one_waits_for() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    here, there = Sign("h1", True, now, 5.0), Sign("h2", False, now, 5.0)
    gone, older = Sign("h3", False, now, 1000.0), Sign("h4", False, None)
    trials = [TrialState(key, "fc", 0, status, "") for key, status in {"a": "finished", "b": "missing"}.items()]
    record = SweepRecord(Asked("n", "1", created="now", command=["x"]))
    others = [Running("o-1", there, frozenset("ab")), Running("o-2", gone, frozenset())]

    def standing(state: Any, sign: Sign, keys: str = "") -> Standing:
        return Standing(record, state, trials, Running("n-1", sign, frozenset(keys)), others)

    first, second = "running too: o-1, on host h2, last heard of 5 s ago", "silent too: o-2, on host h3, last heard of "
    assert _says(standing("running", here)) == [
        "n-1: running on this host; started now",
        f"{first}; n-1 only waits for 1 trial that it trains",
        f"{second}2026-01-02T03:04:05+00:00 by the clock there",
    ]
    assert _says(standing("running", there, "c"))[:2] == [
        "n-1: running on host h2, last heard of 5 s ago; started now",
        f"{first}; n-1 leaves 1 trial that it trains",
    ]
    assert _says(standing("running", older))[0] == (
        "n-1: running on host h4, by a bnbench that gives no sign of life; started now"
    )
    lines = _says(standing("silent", gone))
    assert lines[0].startswith("n-1: is not heard of any more on host h3, last heard of 2026-01-02T03:04:05+00:00 by ")
    assert lines[-1] == "go on with: x"


def test_a_sweep_of_another_host_is_seen_by_its_heartbeat(tmp_path: Path, bnbench: Command) -> None:
    from bnbench.tracking import Store

    store = Store.open(Workspace.at(tmp_path))
    client = store._connection.client
    for name, process in (("mine", None), ("theirs", "elsewhere 1 2 3"), ("killed", "elsewhere 1 2 3")):
        run_id = store.start_sweep(SweepRecord(Asked(name, "1", created="now", command=["x"])), [])
        heart = store.heartbeat(run_id)
        heart.start()
        heart.stop()
        if process:
            client.set_tag(run_id, "bnbench.process", process)
        if name == "killed":
            client.set_tag(run_id, "bnbench.heartbeat", "2026-01-02T03:04:05+00:00 7")
    out = bnbench("status", "killed", f"runs_dir={tmp_path}").out
    assert out[0] == (
        "killed-1: is not heard of any more on host elsewhere, last heard of 2026-01-02T03:04:05+00:00 by the clock "
        "there; started now"
    )
    assert re.fullmatch(r"running too: theirs-1, on host elsewhere, last heard of \d+ s ago", out[-2])
    assert out[-1] == "running too: mine-1, on this host"
    assert bnbench("status", "mine", f"runs_dir={tmp_path}").out[0] == "mine-1: running on this host; started now"
