"""The conclusion goes subject by subject, at learning rates that were chosen apart; its words are in test_words.py."""

from __future__ import annotations

from typing import Any

from bnbench.analysis import Analysis
from bnbench.report import Contents
from bnbench.report.conclusion import headline_target

LRS = (0.1, 0.3, 1.0)


def test_models_are_concluded_on_one_by_one(make_sweep: Any) -> None:
    said = Contents(make_sweep(axes={"model": ["fc", "cnn"]}, targets={"fc": (0.8,), "cnn": (0.85,)}))
    assert [conclusion.subject for conclusion in said.conclusions] == ["mnist_5k, fc", "mnist_5k, cnn"]
    assert [headline_target(subject.arms) for subject in said.analysis.subjects] == [0.8, 0.85]
    assert all(len(conclusion.sentences) == 3 + 1 for conclusion in said.conclusions), (
        "a sentence a contrast, and the steps"
    )


def test_the_headline_is_the_highest_target_that_half_an_arm_met(make_sweep: Any) -> None:
    reaching = lambda best: lambda params, level: best if level == "after" else 0.5  # noqa: E731
    for best, target in ((0.95, 0.9), (0.85, 0.8), (0.5, 0.8)):
        assert headline_target(Analysis(make_sweep(accuracy=reaching(best))).arms) == target
    assert headline_target(Analysis(make_sweep(targets=())).arms) is None


def test_without_tuning_seeds_no_learning_rate_is_picked(make_sweep: Any) -> None:
    said = Contents(make_sweep(axes={"optimizer.lr": LRS}))
    assert "tuned" not in "".join(map(str, said.conclusions[0].sentences))
    assert len(said.analysis.differences) == 9


def test_undefined_levels_are_named_with_their_place(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"training.batch_size": [1, 8]},
        status=lambda params, level: (
            "undefined" if level != "none" and params["training.batch_size"] == 1 else "finished"
        ),
    )
    last = Contents(table).conclusions[0].sentences[-1]
    assert last.evidence == ": before at batch size 1 and after at batch size 1."
