"""Words that cannot be read, mean something else, or have no effect: one line says so before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bnbench import __version__
from bnbench.cli import VERBS
from bnbench.config.nearest import nearest_key

if TYPE_CHECKING:
    from conftest import Answer

Command = Callable[..., "Answer"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("verfy", "did you mean verify?"),
        ("placement", "did you mean +sweep=placement?"),
        ("lr=0.1", "did you mean optimizer.lr?"),
        ("batch_size=8", "did you mean training.batch_size?"),
        ("nrom=batch", "did you mean norm?"),
        ("optimizer.lrr=1", "did you mean optimizer.lr?"),
        ("data.root=~/x", """quote it: 'data.root="~/x"'"""),
        ("runs_dir=a=b", """quote it: 'runs_dir="a=b"'"""),
        ("seed=range(3", "')' is missing"),
        ("seed=0,", "a value is missing after the last comma"),
        ("sweep.question=Does it work, or not?", """quote it: 'sweep.question="Does it work, or not?"'"""),
        ("tracking.experiment=x,y", """quote it: 'tracking.experiment="x,y"'"""),
        ("runs_dir=ra,rb", """quote it: 'runs_dir="ra,rb"'"""),
        ("plan_only=true,false", "has one for all trials"),
        ("resume=true,false", "has one for all trials"),
        ("sweep.compare=norm,model", "sweep.compare=[norm,model]"),
        ("hydra.launcher.n_jobs=0", "a whole number >= 1"),
        ("hydra.launcher.n_jobs=abc", "a whole number >= 1"),
    ],
)
def test_a_word_that_is_wrong_says_what_was_meant(bnbench: Command, folder: Path, word: str, said: str) -> None:
    answer = bnbench("norm=batch", "seed=0,1", word)
    assert answer.status == 2
    [line] = answer.err
    assert said in line
    assert "Lexer" not in line
    assert [*folder.rglob("*")] == []


def test_what_the_line_says_to_type_is_understood(bnbench: Command) -> None:
    answer = bnbench("plan_only=true", 'sweep.question="Does it work, or not?"', 'runs_dir="a,b=c"')
    assert answer.status == 0
    assert answer.out[0] == "trial: Does it work, or not?"


def test_settings_of_hydra_that_change_nothing_are_said(bnbench: Command) -> None:
    answer = bnbench("plan_only=true", "hydra.run.dir=x", "hydra.verbose=true", "hydra.launcher.n_jobs=1")
    assert answer.status == 0
    said = [line.partition(" has no effect")[0] for line in answer.out if "has no effect" in line]
    assert said == ["hydra.run.dir", "hydra.verbose"]


def test_a_key_unlike_all_others_is_not_taken_for_one() -> None:
    assert nearest_key("norm.typo") == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_describes_itself(bnbench: Command, verb: str) -> None:
    answer = bnbench(verb, "--help")
    assert answer.status == 0
    assert answer.out[0].startswith(f"usage: python -m bnbench {verb}")
    assert answer.err == []


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "bench"])
def test_every_verb_refuses_an_unknown_option_with_what_is_allowed(bnbench: Command, verb: str) -> None:
    answer = bnbench(verb, "--nowhere")
    assert answer.status == 2
    [line] = answer.err
    assert line.startswith(f"{verb} --nowhere is not understood")
    assert f"allowed: {verb}" in line


def test_the_version_is_bnbenchs(bnbench: Command) -> None:
    assert bnbench("--version") == (0, [f"bnbench {__version__}"], [])
