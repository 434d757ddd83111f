"""The command: its words, its JSON, its tables, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnbench.__main__ import main
from bnbench.bench.layers import CASES
from bnbench.bench.options import SECTIONS, parse
from bnbench.bench.ratios import RATIOS
from bnbench.bench.sides import SideError, Sides
from bnbench.bench.taking_part import taking_part
from bnbench.bench.text import tables
from bnbench.bench.whole import kinds_of_trials
from bnbench.bench.workloads import DEFAULT, QUICK, trials_of
from bnbench.norms import NORMS

Quick = tuple[dict[str, Any], list[str], Path]


# Words.


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["fast"], "unrecognized arguments: fast"),
        (["--jsn"], "unrecognized arguments: --jsn"),
        (["--only", "inner,speed"], "--only speed is unknown; allowed: inner, norms, gpu, tracking"),
        (["--workload", "fc-7"], "--workload fc-7 is unknown; allowed: fc-1-none, "),
        (["--rounds", "0"], "--rounds 0 is not allowed; it must be a whole number >= 1"),
        (["--rounds", "many"], "invalid int value: 'many'"),
        (["--sweep", "nothing"], "--sweep nothing is unknown; allowed: a"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(
    words: list[str], answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bnbench", "bench", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    said = capsys.readouterr()
    assert exit_.value.code == 2
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert answer in line


def test_by_default_everything_is_measured_on_the_paper_s_networks() -> None:
    options = parse([])
    assert options.sections == ("inner", "norms", "gpu", "tracking")
    assert options.workloads == DEFAULT
    assert not any("-1-batch" in workload.name for workload in DEFAULT)


def test_words_narrow_what_is_measured() -> None:
    options = parse(["--only", "norms,inner", "--workload", "fc-8-none", "--workload", "cnn-1-none", "--rounds", "5"])
    assert options.sections == ("inner", "norms")
    assert [workload.name for workload in options.workloads] == ["fc-8-none", "cnn-1-none"]
    assert options.rounds == 5
    assert parse(["--sweep", "smoke"]).sections == ()
    assert parse(["--sweep", "smoke", "--only", "norms"]).sections == ("norms",)


def test_the_parent_stays_light() -> None:
    """What it imports would take a core from the sides, and torch leaves a folder among the temporary files."""
    code = "import sys, bnbench.bench.command; print({'torch', 'mlflow', 'pytorch_lightning'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# A whole run.


def test_a_quick_run_has_every_table(quick: Quick) -> None:
    report, _, _ = quick
    assert {"machine", "versions", "left_out", "rounds", "seconds", "sweep", *SECTIONS} == report.keys()
    assert report["machine"]["cores"] >= 1
    assert report["sweep"] is None
    (inner,) = report["inner"]
    assert inner["workload"] == "tiny"
    sides = inner["sides"].keys()
    assert sides == {*taking_part(QUICK)} >= {"usual", "handwritten", "torch"}
    for clock in ("", "wall_"):
        assert inner[f"{clock}rates"].keys() == sides
        assert all(rate["low"] > 0 for rate in inner[f"{clock}rates"].values())
        assert inner[f"{clock}ratios"].keys() == {f"{a}/{b}" for a, b in RATIOS if {a, b} <= sides}
    assert ("lanes" in sides) == ("share_of_peak" in inner)
    assert [line.partition(":")[0] for line in report["left_out"]] == [s for s in ("lanes", "jax") if s not in sides]
    assert len({side["parameters"] for side in inner["sides"].values()}) == 1
    timed = {(row["norm"], row["case"]) for row in report["norms"]["folded"] if "folded" in row}
    everywhere = {(name, case.name) for name in NORMS if name != "none" for case in CASES}
    assert timed == everywhere - {("instance", CASES[0].name)}  # no positions to normalize over
    assert report["norms"]["batch_norm"]
    tracking = report["tracking"]
    assert (tracking["trials"], tracking["points"]) == (40, 100)
    assert 0 < tracking["record_processor_ms"] < 1000
    assert tracking["read_seconds"] > 0
    assert tracking["report_seconds"] > 0


def test_a_quick_run_reports_its_progress_and_leaves_nothing(quick: Quick) -> None:
    _, err, temporary = quick
    assert err
    assert all(line.startswith("bench ") for line in err), err
    assert [*temporary.iterdir()] == []
    assert _processes_in(temporary) == []


def test_the_tables_show_what_the_json_holds(quick: Quick) -> None:
    report, _, _ = quick
    report = {
        **report,
        "sweep": {
            "sweep": "made_up",
            "trials": 3,
            "trial_steps": 3000,
            "seconds": 10.0,
            "usual_seconds_estimated": 125.0,
            "usual/bnbench_estimated": 12.5,
        },
    }
    text = tables(report)
    for title in (
        "trial-steps per second of processor time",
        "trial-steps per second of wall time",
        "bnbench by the others",
        "norms",
        "torch's own",
        "tracking: 40 trials x 100 points x 6 metrics",
    ):
        assert title in text
    assert "ESTIMATED" in text
    assert f"{report['inner'][0]['ratios']['torch/usual']['median']:.2f}" in text
    assert all(line in text for line in report["left_out"])
    assert max(len(line) for line in text.splitlines()) <= 160
    quiet = {**report["machine"], "busy": False}
    nothing = {
        **report,
        "machine": quiet,
        **dict.fromkeys([*SECTIONS, "sweep"]),
    }
    assert len(tables(nothing).splitlines()) == 1


def test_ctrl_c_ends_every_process_and_removes_every_file(tmp_path: Path) -> None:
    # A background job starts with SIGINT ignored; a command in a terminal does not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from bnbench.__main__ import main; main()"
    )
    words = ["bench", "--only", "inner", "--workload", "tiny"]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "tiny" in process.stderr.readline()
        assert _processes_in(tmp_path)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines() == ["interrupted; nothing is kept"]
    assert [*tmp_path.iterdir()] == []
    assert _processes_in(tmp_path) == []


def test_a_side_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    with Sides(tmp_path) as sides, pytest.raises(SideError) as caught:
        sides["handwritten"].call("prepare", overrides=["model=none"], folder=str(tmp_path))
    assert str(caught.value).startswith("bench: handwritten failed: ")
    assert len(str(caught.value).splitlines()) == 1


def _processes_in(folder: Path) -> list[str]:
    """Processes whose working folder is, or was, in `folder`; not the one that owns the folder itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if where.startswith(f"{folder}/"):
            found.append(entry.name)
    return found


# The whole sweep beside an estimate.


def test_a_sweep_s_trials_are_counted_by_kind() -> None:
    overrides = ("data=digits", "model=fc", "norm=batch", "training.batch_size=32")
    trials = [
        *trials_of((*overrides, "training.steps=10"), range(2)),
        *trials_of((*overrides, "training.steps=20"), [0]),
    ]
    plain = trials_of(("data=digits", "norm=none", "training.steps=5"), [3])
    table = pd.DataFrame([{"status": "finished", **trial.params} for trial in [*trials, *plain]])
    table.loc[len(table)] = {"status": "undefined", **plain[0].params}
    kinds = kinds_of_trials(table)
    assert [(kind["trials"], kind["steps"]) for kind in kinds] == [(3, 40), (1, 5)]
    assert all(kind["images"] > 360 * kind["trials"] for kind in kinds)  # the test split, and the grid
    for kind, trial in zip(kinds, (trials[0], plain[0]), strict=True):
        (again,) = trials_of(kind["overrides"], [trial.seed])
        assert again.model == trial.model
        assert again.norm == trial.norm
        assert again.training.batch_size == trial.training.batch_size
        assert again.optimizer.name == trial.optimizer.name
