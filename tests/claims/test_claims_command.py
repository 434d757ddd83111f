"""`python -m bnbench claims`, on made-up trials in a real store and on sweeps that it runs itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from bnbench.__main__ import main
from bnbench.api import load
from bnbench.claims import Claim
from bnbench.claims.claim import Verdict
from bnbench.claims.ours import Ours, load_ours
from bnbench.config import Config, environment
from bnbench.config.workspace import Workspace
from bnbench.record import names
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.results import TrialResult
from bnbench.record.sweep_record import SweepRecord
from bnbench.report import markdown_conclusion
from bnbench.tracking import Store

PlanSweep = Callable[..., Any]
_CONFIG = OmegaConf.to_container(OmegaConf.structured(Config()), enum_to_str=True)
REST: dict[str, Any] = {
    "data": [],
    "config": _CONFIG,
    "git": {},
    "hardware": {},
    "plan": {},
    "notes": [],
    "wall_seconds": None,
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`python -m bnbench WORD …` in this process, in an empty folder: its exit status, its lines and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*words: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr("sys.argv", ["bnbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capsys.readouterr()
        return int(exit_.value.code or 0), printed.out.splitlines(), printed.err.splitlines()

    return run


@pytest.fixture(scope="module")
def recorded_runs(tmp_path_factory: pytest.TempPathFactory, plan_sweep: PlanSweep) -> Path:
    """A store with an old null sweep of placements, one in which before beats after by 4 points, and a short try.

    In the try, of two seeds and 20 steps, after beats before; another sweep is still running.
    """
    runs_dir = tmp_path_factory.mktemp("runs")
    store = Store.open(Workspace.at(runs_dir))
    whole, short = plan_sweep("placement"), plan_sweep("placement", "model=fc", "training.steps=20", "seed=0,1")
    rates = {(t.params["model"], t.params["optimizer.lr"]) for t, _ in whole[1]}
    middle = {model: np.exp(np.mean([np.log(lr) for name, lr in rates if name == model])) for model, _ in rates}
    for number, ((meta, planned), gain) in enumerate(((whole, 0.0), (whole, 0.04), (short, -0.3))):
        rng = np.random.default_rng(number)
        meta = {**meta, "versions": environment.versions(), "created": "2026-11-01T00:00:00+00:00", **REST}
        run_id = store.start_sweep(
            SweepRecord.from_json({**meta, "id": f"{number:04x}"}),
            [PlannedTrial(f"{t.key}{number}", t.params) for t, _ in planned],
        )
        results = []
        for trial, _ in planned:
            params = trial.params
            acc = 0.85 + gain * (params.get("norm.placement") == "before") + 0.002 * rng.standard_normal()
            acc -= 0.02 * abs(np.log10(params["optimizer.lr"] / middle[params["model"]]))
            metrics = {names.TEST_ACC: acc, names.ACC_BEST: acc, names.steps_to(0.9): 300.0, names.reached(0.9): 1.0}
            curve = {names.VAL_ACC: [(0, 0.1), (300, 0.95), (600, 0.95)]}
            results.append(TrialResult(f"{trial.key}{number}", params, "finished", metrics=metrics, curves=curve))
        store.record(results, run_id)
        store.finish_sweep(run_id, status="FINISHED", metrics={}, artifacts=[], note="")
    meta = {**whole[0], "versions": environment.versions(), "created": "2026-11-02T00:00:00+00:00", **REST}
    planned = whole[1]
    store.start_sweep(
        SweepRecord.from_json({**meta, "id": "ffff"}), [PlannedTrial(t.key, t.params) for t, _ in planned]
    )
    return runs_dir


def test_the_list_has_every_claim_with_its_latest_verdict(
    command: Callable[..., Any], recorded_runs: Path, claims: dict[str, Claim]
) -> None:
    status, out, err = command("claims", f"runs_dir={recorded_runs}")
    assert (status, err) == (0, [])
    assert out[0].split() == ["here", "ours", "Batch", "norm", "…"]
    lines = {line.split()[0]: line for line in out[1 : 1 + len(claims)]}
    assert [*lines] == [*claims]
    assert lines["C11"].split()[1:3] == ["supported", "depends"], "no star: it was recorded before the runs"
    assert "[placement-0001]" in lines["C11"], "the newest sweep whose trials are those of its file"
    assert "not run" in lines["C9"]
    assert any(line.startswith("ours: what bnbench's authors found (2026-11") for line in out)


def test_a_try_that_does_not_fit_the_sweeps_file_is_never_evidence(
    command: Callable[..., Any], recorded_runs: Path
) -> None:
    """Asked for by its settings, it is judged, and marked."""
    words = ["model=fc", "training.steps=20", "seed=0,1"]
    _, out, _ = command("claims", "C11", *words, f"runs_dir={recorded_runs}")
    text = " ".join(" ".join(out).split())
    assert "placement-0002" in text
    assert "exploratory: judged with model=fc training.steps=20 seed=0,1 in place of its sweep's file" in text
    _, out, _ = command("claims", "C11", "training.steps=21", f"runs_dir={recorded_runs}")
    assert "not run; run it: python -m bnbench +sweep=placement" in " ".join(" ".join(out).split())


def test_more_seeds_of_the_same_arms_are_evidence_too(command: Callable[..., Any], recorded_runs: Path) -> None:
    _, out, _ = command("claims", "C11", "seed=range(5)", f"runs_dir={recorded_runs}")
    assert "10 pairs" in " ".join(" ".join(out).split())


def test_verdicts_are_written_in_the_form_in_which_they_ship(
    command: Callable[..., Any], recorded_runs: Path, tmp_path: Path
) -> None:
    status, out, err = command("claims", "C11", "C9", "--save", "verdicts.yaml", f"runs_dir={recorded_runs}")
    assert (status, err) == (0, [])
    assert out[0] == "1 of 2 claims are judged; their verdicts are in verdicts.yaml"
    written = yaml.safe_load((tmp_path / "verdicts.yaml").read_text())
    assert [*written] == ["C11"]
    assert {**written["C11"], "verdict": Verdict(written["C11"]["verdict"])} == asdict(
        Ours(**{**written["C11"], "verdict": Verdict.supported})
    )


def test_a_file_of_verdicts_keeps_those_on_claims_that_are_not_judged(
    command: Callable[..., Any], recorded_runs: Path, tmp_path: Path
) -> None:
    older = {id: {**asdict(load_ours()[id]), "verdict": "refuted", "evidence": "older"} for id in ("C9", "C11")}
    (tmp_path / "verdicts.yaml").write_text(yaml.safe_dump(older, sort_keys=False))
    command("claims", "--save", "verdicts.yaml", f"runs_dir={recorded_runs}")
    written = yaml.safe_load((tmp_path / "verdicts.yaml").read_text())
    assert [id for id in written if written[id]["evidence"] == "older"] == ["C9"]
    assert written["C11"]["verdict"] == "supported"


def test_a_file_that_holds_no_verdicts_is_not_written_over(
    command: Callable[..., Any], recorded_runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("C11: supported\n")
    status, _, err = command("claims", "C11", "--save", "mine.yaml", f"runs_dir={recorded_runs}")
    assert (status, err) == (
        2,
        ["mine.yaml holds no verdicts as claims --save FILE writes them; name another file"],
    )
    assert (tmp_path / "mine.yaml").read_text() == "C11: supported\n"


def test_a_page_s_verdicts_are_renewed_and_its_other_sections_stay(
    command: Callable[..., Any], recorded_runs: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Claims\n\nBy hand.\n\n## Verdicts\n\nOld ones.\n\n## After\n\nAlso by hand.\n")
    command("claims", "C11", "--save", "page.md", f"runs_dir={recorded_runs}")
    said = page.read_text()
    assert said.startswith("# Claims\n\nBy hand.\n\n## Verdicts\n\n| claim |")
    assert said.endswith("\n\n## After\n\nAlso by hand.\n")
    assert "Old ones" not in said
    rows = {line.split()[1]: line for line in said.splitlines() if line.startswith("| C")}
    assert rows.keys() == load_ours().keys(), "those that were not judged here stand as they are shipped"
    assert "| supported |" in rows["C11"]
    assert "| 10 | `claims C11 --run quick` |" in rows["C11"], "the seeds, and what runs its sweep again"


def test_a_sweep_s_finding_is_the_conclusion_of_its_report(
    command: Callable[..., Any], recorded_runs: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Findings\n\n## older\n\nFound elsewhere.\n\n## placement\n\nFound before.\n")
    status, out, err = command("findings", "--save", "page.md", f"runs_dir={recorded_runs}")
    assert (status, out, err) == (0, ["renewed in page.md: placement"], [])
    said = page.read_text()
    assert said.startswith("# Findings\n\n## older\n\nFound elsewhere.\n\n## placement\n\nDoes batch norm before")
    assert "Found before" not in said
    conclusion = markdown_conclusion(load("placement-0001", f"runs_dir={recorded_runs}").contents)
    assert said.endswith(f"{conclusion}\n")
    once = said
    command("findings", "--save", "page.md", f"runs_dir={recorded_runs}")
    assert page.read_text() == once


def test_a_sweep_of_which_trials_are_missing_is_left_out_and_named(
    command: Callable[..., Any], recorded_runs: Path
) -> None:
    status, out, err = command("findings", "bias", f"runs_dir={recorded_runs}")
    assert (status, "".join(out)) == (0, "")
    assert err == ["bias is left out: 0 of 240 trials of its file are recorded"]


def test_a_verdict_is_shipped_for_every_claim(claims: dict[str, Claim]) -> None:
    ours = load_ours()
    assert ours.keys() == claims.keys()
    assert [id for id, claim in claims.items() if ours[id].hash != claim.hash] == []


def test_a_claim_is_explained_with_its_evidence_and_published_numbers(
    command: Callable[..., Any], recorded_runs: Path
) -> None:
    status, out, err = command("claims", "C11", f"runs_dir={recorded_runs}")
    assert (status, err) == (0, [])
    text = " ".join(" ".join(out).split())
    for part in (
        "C11: Batch norm before the activation reaches a higher accuracy than after it.",
        "source: Ioffe & Szegedy (2015)",
        "verdict: supported;",
        "10 pairs",
        "cnn: supported;",
        "margin 0.5 pp",
        "fc: supported;",
        "none 0.471",
    ):
        assert part in text, part
    assert max(map(len, out)) <= 120


def test_nothing_is_judged_where_nothing_was_run(command: Callable[..., Any]) -> None:
    status, out, err = command("claims", "C2", "runs_dir=empty")
    assert (status, err) == (0, [])
    assert "not run; run it: python -m bnbench +sweep=learning_rate" in " ".join(" ".join(out).split())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["C99"], "claim C99 is unknown; allowed: C1, C1b, C2"),
        (["--run"], "argument --run: expected one argument; allowed: claims [CLAIM …] [--run quick|full|settled]"),
        (["--run", "huge"], "argument --run: invalid choice: 'huge'"),
        (["--all"], "claims --all is not understood; allowed: claims [CLAIM …]"),
        (["--config-dir", "nowhere"], "--config-dir nowhere is not a folder"),
        (["runs_dri=x"], "runs_dri"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(command: Callable[..., Any], words: list[str], line: str) -> None:
    status, out, err = command("claims", *words)
    assert (status, out, len(err)) == (2, [], 1)
    assert line in err[0]


# A claim of one's own, run by its name.

_SWEEP = """# @package _global_
# Is it so?
sweep:
  question: Is it so?
  compare: [norm]
  full: ["seed=0,1,2"]
training:
  steps: 5
hydra:
  sweeper:
    params:
      data: digits
      model: fc
      norm: none,batch
      seed: 0,1
"""
_MINE = {
    "title": "does what I say",
    "sentence": "Batch norm does what I say.",
    "source": "me",
    "sweep": "mine",
    "criterion": "a point or more",
    "tests": [{"name": "accuracy", "kind": "greater", "contrast": "batch - none", "margin": "1 pp"}],
}
_HERE = "hydra.launcher.n_jobs=1"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    for group in ("sweep", "claim"):
        (folder / group).mkdir(parents=True)
    (folder / "sweep" / "mine.yaml").write_text(_SWEEP)
    (folder / "sweep" / "less.yaml").write_text(
        _SWEEP.replace("norm: none,batch", "norm: batch").replace("  full", "# ")
    )
    (folder / "sweep" / "all.yaml").write_text("# @package _global_\nsweep:\n  parts: [mine, less]\n")
    (folder / "claim" / "MINE.yaml").write_text(yaml.safe_dump(_MINE))
    return folder


def test_a_claim_of_ones_own_is_run_judged_and_noticed_when_it_changes(
    command: Callable[..., Any], own: Path, tmp_path: Path
) -> None:
    here = ["--config-dir", str(own)]
    status, out, err = command("claims", "MINE", "--run", "quick", *here, _HERE)
    assert (status, err) == (0, [])
    assert any("4 trials" in line for line in out)
    assert any("mine-" in line for line in out if line.startswith("sweep:"))
    assert any(line.startswith("verdict:   inconclusive; test accuracy, batch - none:") for line in out)

    store = Store.open(Workspace.at(tmp_path / "runs"), create=False)
    (sweep,) = store.sweeps()
    assert (sweep.summary.seeds, [*sweep.summary.claims]) == ([0, 1], ["MINE"])

    (own / "claim" / "MINE.yaml").write_text(yaml.safe_dump({**_MINE, "criterion": "two points"}))
    status, out, err = command("claims", "MINE", "--run", "full", *here, _HERE)
    text = " ".join(" ".join(out).split())
    assert status == 0
    assert "6 trials (0 duplicates dropped, 4 finished before" in text
    assert "inconclusive*" in text
    assert "exploratory: the claim was changed after the runs" in text
    assert "1 seed (2) added after an earlier report" in text


def test_a_claim_that_needs_what_there_is_not_is_not_run(command: Callable[..., Any], own: Path) -> None:
    lacking = {"name": "accuracy", "kind": "greater", "missing": "a quantum computer"}
    (own / "claim" / "MINE.yaml").write_text(yaml.safe_dump({**_MINE, "tests": [lacking]}))
    status, out, err = command("claims", "MINE", "--run", "quick", "--config-dir", str(own))
    assert (status, out, err) == (2, [], ["MINE cannot be run: it needs a quantum computer"])


def test_the_parts_of_a_sweep_are_run_one_after_another_and_share_their_trials(
    command: Callable[..., Any], own: Path
) -> None:
    status, out, err = command("--config-dir", str(own), "+sweep=all", _HERE)
    assert (status, err) == (0, [])
    assert [line for line in out if line.startswith("[")] == ["[1 of 2 sweeps]", "[2 of 2 sweeps]"]
    assert any("2 trials (0 duplicates dropped, 2 finished before" in line for line in out)
    assert sum(line.startswith("report:") for line in out) == 2


def test_what_is_typed_wins_over_the_full_size(command: Callable[..., Any], own: Path) -> None:
    words = ["--config-dir", str(own), "+sweep=mine", "sweep.size=full", "seed=7", "plan_only=true"]
    status, out, err = command(*words)
    assert (status, err) == (0, [])
    assert any("2 trials" in line for line in out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["+sweep=less", "sweep.size=full"], "sweep.size=full is not to be had: the sweep has no sweep.full"),
        (["+sweep=mine", "sweep.size=huge"], "sweep.size"),
        (["+sweep=mine", "sweep.size=full", "sweep.full=[1]"], "'1' in sweep.full cannot be read as key=value"),
        (["sweep.parts=[mine,none_such]"], "+sweep=none_such is unknown; allowed: "),
        (["sweep.parts=[all]"], "sweep.parts=all has parts of its own; name those"),
    ],
)
def test_a_wrong_size_or_part_is_answered_in_one_line(
    command: Callable[..., Any], own: Path, words: list[str], line: str
) -> None:
    status, _, err = command("--config-dir", str(own), *words)
    assert (status, len(err)) == (2, 1)
    assert line in err[0]


def test_a_wrong_claim_file_is_answered_before_anything_trains(
    command: Callable[..., Any], own: Path, tmp_path: Path
) -> None:
    (own / "claim" / "MINE.yaml").write_text(yaml.safe_dump({**_MINE, "swep": "x"}))
    for words in (["+sweep=mine"], ["claims"], ["list"]):
        status, _, err = command(*words, "--config-dir", str(own))
        assert (status, len(err)) == (2, 1)
        assert "MINE.yaml: swep is not a key of a claim" in err[0]
    assert not (tmp_path / "runs" / "mlflow.db").exists()
