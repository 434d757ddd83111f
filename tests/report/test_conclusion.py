"""The conclusion says what the table supports, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.report import conclude
from bnbench.report.conclusion import setup_sentence

LRS = (0.1, 0.3, 1.0)


def said(table: Any) -> list[str]:
    """Every sentence of a sweep with one subject."""
    (finding,) = conclude(table)
    return [str(sentence) for sentence in finding.sentences]


def peaked(peaks: dict[str, float], height: dict[str, float]) -> Any:
    """An accuracy that falls off from each level's own best learning rate."""
    return lambda params, level: height[level] - 0.03 * abs(params["optimizer.lr"] - peaks[level])


def test_a_winner_is_named_with_effect_interval_and_pairs(make_sweep: Any) -> None:
    table = make_sweep(accuracy=lambda params, level: 0.95 if level == "after" else 0.9)
    first = said(table)[1]
    assert first.startswith("After beats none by ")
    assert "95 % interval" in first
    assert "10 pairs" in first


def test_the_loser_of_a_contrast_is_named_with_positive_numbers(make_sweep: Any) -> None:
    table = make_sweep(accuracy=lambda params, level: 0.95 if level == "none" else 0.9)
    assert said(table)[0].startswith("None beats before by 4.")
    assert "\N{MINUS SIGN}" not in said(table)[0]


def test_an_interval_that_covers_zero_is_not_called_no_difference(make_sweep: Any) -> None:
    table = make_sweep(level_names=("none", "before"), meta={"contrasts": ["batch - none"]})
    (sentence, *_) = said(table)
    assert sentence.startswith("Cannot tell batch from none")
    assert "would not be seen" in sentence
    assert "no difference" not in sentence


def test_levels_are_compared_at_their_own_tuned_learning_rates_and_at_equal_ones(make_sweep: Any) -> None:
    best = {"none": 0.3, "before": 0.3, "after": 0.3}
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        tuning_seeds=(100, 101, 102),
        accuracy=peaked(best, {"none": 0.9, "before": 0.94, "after": 0.94}),
        noise=0.001,
    )
    first = said(table)[0]
    assert "Before beats none" in first
    assert "each at its own tuned learning rate (before 0.3 and none 0.3)" in first
    assert "At equal learning rates, before leads at all 3" in first
    assert "3 other seeds chose" in setup_sentence(table)


def test_a_best_learning_rate_at_the_grids_edge_is_inconclusive(make_sweep: Any) -> None:
    best = {"none": 1.0, "before": 0.3, "after": 0.3}
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        tuning_seeds=(100, 101, 102),
        accuracy=peaked(best, {"none": 0.9, "before": 0.94, "after": 0.94}),
        noise=0.001,
    )
    first = said(table)[0]
    assert "Before is ahead of none" in first
    assert "inconclusive, for the learning rate of none is at the edge of the grid" in first


def test_without_tuning_seeds_no_learning_rate_is_picked(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        accuracy=peaked(dict.fromkeys(("none", "before", "after"), 0.3), {"none": 0.9, "before": 0.94, "after": 0.94}),
    )
    assert "tuned" not in " ".join(said(table))
    assert said(table)[0].startswith("Before against none at equal learning rates: before leads at all 3")


def test_where_trials_diverged_the_success_counts_lead(make_sweep: Any) -> None:
    table = make_sweep(
        accuracy=lambda params, level: 0.9,
        status=lambda params, level: "diverged" if level == "none" and params["seed"] < 4 else "finished",
    )
    first = said(table)[0]
    assert first.startswith("Before succeeded in 10 of 10 trials, none in 6 of 10 (95 % intervals 72 to 100 % and 31 ")
    assert "exact McNemar p" in first
    assert first.index("4 of 10 trials of none diverged") < first.index("descriptive")


def test_where_trials_collapsed_the_success_counts_lead(make_sweep: Any) -> None:
    table = make_sweep(
        accuracy=lambda params, level: 0.05 if level == "none" and params["seed"] < 4 else 0.9,
        status=lambda params, level: "diverged" if level == "none" and params["seed"] == 9 else "finished",
    )
    first = said(table)[0]
    assert first.startswith("Before succeeded in 10 of 10 trials, none in 5 of 10 (95 % intervals 72 to 100 % and 24 ")
    assert "1 of 10 trials of none diverged and 4 of 10 trials of none collapsed" in first
    assert "5 pairs" in first


def test_undefined_levels_are_named_with_their_place(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"training.batch_size": [1, 8]},
        status=lambda params, level: (
            "undefined" if level != "none" and params["training.batch_size"] == 1 else "finished"
        ),
    )
    assert "before undefined at batch size 1" in said(table)[0]
    assert said(table)[-1] == ("Undefined, so without any result: before at batch size 1 and after at batch size 1.")


def test_one_seed_gets_a_difference_and_no_interval(make_sweep: Any) -> None:
    first = said(make_sweep(seeds=(0,)))[0]
    assert first.startswith("One pair only: before - none is ")
    assert "no interval is possible" in first


def test_pairs_that_all_differ_alike_are_said_to(make_sweep: Any) -> None:
    table = make_sweep(noise=0.0, accuracy=lambda params, level: 0.91 if level == "after" else 0.9)
    assert said(table)[:2] == [
        "All 10 pairs of before and none are equal, so there is no interval.",
        "All 10 pairs of after and none differ by +1.00 pp, so there is no interval.",
    ]


def test_the_median_of_a_target_missed_by_most_is_not_a_number(make_sweep: Any) -> None:
    table = make_sweep(accuracy=lambda params, level: 0.5 if level == "none" else 0.95)
    assert "none not reached (0 of 10)" in said(table)[-1]


def test_models_are_concluded_on_one_by_one(make_sweep: Any) -> None:
    table = make_sweep(axes={"model": ["fc", "cnn"]}, targets={"fc": (0.8,), "cnn": (0.85,)})
    findings = conclude(table)
    assert [finding.subject for finding in findings] == ["mnist_5k, fc", "mnist_5k, cnn"]
    assert "Median steps to 0.8 " in str(findings[0].sentences[-1])
    assert "Median steps to 0.85 " in str(findings[1].sentences[-1])


def test_a_sweep_of_one_level_states_its_accuracy(make_sweep: Any) -> None:
    table = make_sweep(level_names=("none",), noise=0.0, accuracy=lambda params, level: 0.9)
    assert said(table)[0] == "Test accuracy is 90.00 % (all 10 seeds equal: no interval)."


@pytest.mark.parametrize("status", ["undefined", "failed", "missing"])
def test_a_sweep_without_results_says_so(make_sweep: Any, status: str) -> None:
    table = make_sweep(status=lambda params, level: status)
    assert "cannot be compared" in said(table)[0]
