"""Sweeps that go on until their claims are settled: what they train, with planted accuracies in place of training."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bnbench
from bnbench.analysis import Analysis
from bnbench.claims import Verdict, claims_touched
from bnbench.config import ConfigError, Trial
from bnbench.config.workspace import Workspace
from bnbench.sweep.again.evidence import find_evidence, settled_evidence
from bnbench.sweep.running.published import Sweep
from bnbench.sweep.running.settling import describe_settling
from bnbench.tracking import Store

if TYPE_CHECKING:
    from conftest import Planted

_SWEEP = """# @package _global_
sweep:
  question: Which norm?
  compare: [norm]
  contrasts: [batch - none, layer - none]
  axis: optimizer.lr
  tuning_seeds: {tuning}
training: {{steps: 2}}
hydra:
  sweeper:
    params:
      model: fc
      model.width: 8
      data: digits
      norm: none,batch,layer
      optimizer.lr: 0.01,0.1,1.0
      seed: range(10)
"""
_CLAIM = """title: is best
sentence: Batch norm is best.
source: me
sweep: mine
criterion: more than 1 pp
max_seeds: 24
tests:
  - {name: accuracy, kind: greater, contrast: batch - none, margin: 1 pp, rates: RATES}
  - {name: beside, kind: greater, contrast: layer - none, margin: 1 pp, rates: RATES, decides: false}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of configs with a sweep that tunes, and a claim on it."""
    for name in ("sweep", "claim"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    (tmp_path / "conf" / "sweep" / "mine.yaml").write_text(_SWEEP.format(tuning="[200, 201]"))
    (tmp_path / "conf" / "claim" / "MINE.yaml").write_text(_CLAIM.replace("RATES", "best"))
    return tmp_path / "conf"


def _run(conf: Path, *words: str) -> Sweep:
    sweep = bnbench.run(
        "+sweep=mine",
        f"hydra.searchpath=[file://{conf}]",
        "sweep.until=claims",
        f"runs_dir={conf.parent / 'runs'}",
        "hydra.launcher.n_jobs=1",
        *words,
    )
    assert sweep is not None
    return sweep


def _plant(planted: Planted, gain: float) -> list[Trial]:
    def accuracy(trial: Trial) -> float:
        noise = random.Random(f"{trial.norm.name} {trial.lr} {trial.seed}").gauss(0, 0.004)
        return 0.8 + gain * (trial.norm.name == "batch") - 0.05 * (trial.lr != 0.1) + noise

    planted.accuracies(accuracy)
    return planted.trained


def _reported(trained: list[Trial]) -> dict[tuple[str, float], int]:
    return dict(Counter((trial.norm.name, trial.lr) for trial in trained if trial.seed < 200))


def _verdicts(sweep: Sweep) -> dict[str, Verdict]:
    return {one.claim.id: one.verdict for one in claims_touched(sweep.contents.analysis)}


def test_a_settled_claim_takes_ten_seeds_of_the_arms_that_decide_it(mine: Path, planted: Planted) -> None:
    trained = _plant(planted, 0.1)
    sweep = _run(mine)
    assert _verdicts(sweep) == {"MINE": Verdict.supported}
    assert _reported(trained) == {("none", 0.1): 10, ("batch", 0.1): 10}, "layer norm stands beside"
    assert "MINE, is best: supported" in (sweep.folder / "report.md").read_text()


def test_a_claim_is_judged_where_there_are_no_kernels(
    mine: Path, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNBENCH_LANES", "none")
    trained = _plant(planted, 0.1)
    assert _verdicts(_run(mine)) == {"MINE": Verdict.supported}
    assert {trial.training.engine for trial in trained} == {"torch"}


def test_an_open_claim_gets_seeds_up_to_the_cap_in_its_file_and_says_what_it_would_take(
    mine: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = _plant(planted, 0.0105)
    sweep = _run(mine)
    assert _verdicts(sweep) == {"MINE": Verdict.inconclusive}
    assert _reported(trained) == {("none", 0.1): 24, ("batch", 0.1): 24}
    [judgment] = claims_touched(sweep.contents.analysis)
    assert judgment.seeds == "24"
    assert "what is open would take" in judgment.evidence
    said = capsys.readouterr().out
    assert "look at 24 pairs: 0 of 1 claim open" in said, "the cap is reached"
    [line] = describe_settling(sweep.table, 10, runs=False)
    assert line.startswith("MINE is best: inconclusive; what is open would take")


def test_the_same_command_goes_on_from_what_is_trained(mine: Path, planted: Planted) -> None:
    trained = _plant(planted, 0.0105)
    first = _run(mine)
    number = len(trained)
    again = _run(mine)
    assert len(trained) == number
    assert [*again.table.trials["key"]] == [*first.table.trials["key"]]


def test_claims_at_equal_rates_need_the_whole_grid(mine: Path, planted: Planted) -> None:
    (mine / "claim" / "MINE.yaml").write_text(_CLAIM.replace("RATES", "matched"))
    trained = _plant(planted, 0.1)
    assert _verdicts(_run(mine)) == {"MINE": Verdict.supported}
    rates = (0.01, 0.1, 1.0)
    assert _reported(trained) == {(norm, lr): 10 for norm in ("none", "batch") for lr in rates}


def test_without_tuning_seeds_the_first_look_is_at_the_whole_grid(mine: Path, planted: Planted) -> None:
    (mine / "sweep" / "mine.yaml").write_text(_SWEEP.format(tuning="[]"))
    (mine / "claim" / "MINE.yaml").write_text(_CLAIM.replace("RATES", "matched"))
    trained = _plant(planted, 0.013)
    _run(mine)
    seeds = _reported(trained)
    assert {number for (norm, _), number in seeds.items() if norm == "layer"} == {10}
    assert max(number for (norm, _), number in seeds.items() if norm == "batch") > 10


def test_the_ledger_judges_on_the_sweep_that_went_on_and_on_no_seed_that_it_chose(mine: Path, planted: Planted) -> None:
    """The seeds that a sweep adds because of what it saw are no evidence of a sweep of a fixed number of seeds."""
    _plant(planted, 0.0105)
    sweep = _run(mine)
    store = Store.open(Workspace.at(mine.parent / "runs"))
    evidence = settled_evidence("mine", store)
    assert evidence is not None
    assert evidence.sweeps == [sweep.table.record.title]
    assert settled_evidence("placement", store) is None
    words = [f"hydra.searchpath=[file://{mine}]", "norm=none,batch", "optimizer.lr=0.1", "sweep.tuning_seeds=[]"]
    table = find_evidence("mine", words, store).table
    assert table is not None
    assert sorted(Analysis(table).table.reporting["seed"].unique()) == [*range(10)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep.max_seeds=20"], "sweep.max_seeds=20 is for sweep.until=settled; a claim has max_seeds in its file"),
        (["seed=range(5)"], "seed=range(5) is not allowed with sweep.until=claims"),
    ],
)
def test_what_a_claims_file_says_is_not_said_again(mine: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as error:
        _run(mine, *words)
    assert said in str(error.value)


def test_a_sweep_without_a_claim_has_none_to_settle(mine: Path) -> None:
    (mine / "claim" / "MINE.yaml").unlink()
    with pytest.raises(ConfigError, match="needs a claim that is judged on mine"):
        _run(mine)


def test_a_cap_below_the_first_look_is_refused(mine: Path) -> None:
    (mine / "claim" / "MINE.yaml").write_text(_CLAIM.replace("RATES", "best").replace("24", "9"))
    with pytest.raises(ConfigError, match="max_seeds=9 is not allowed"):
        _run(mine)
