"""What could mislead is said in the report."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.analysis import differences
from bnbench.report.cautions import cautions


def told(table: Any) -> str:
    return "\n".join(cautions(table))


@pytest.mark.parametrize("status", ["diverged", "failed", "missing"])
def test_trials_that_are_in_no_accuracy_are_counted_and_placed(make_sweep: Any, status: str) -> None:
    table = make_sweep(status=lambda p, level: status if level == "none" and p["seed"] < 3 else "finished")
    assert "none (3 of 10)" in told(table)


def test_the_reason_of_undefined_trials_is_given(make_sweep: Any) -> None:
    table = make_sweep(status=lambda p, level: "finished" if level == "none" else "undefined")
    assert "20 trials undefined: batch size 1 leaves one value per channel" in told(table)


def test_a_key_that_moves_with_the_level_is_named(make_sweep: Any) -> None:
    table = make_sweep(meta={"varied": ["norm", "norm.placement", "training.batch_size", "seed"]})
    assert "batch size differs" not in told(table)
    table.trials.loc[table.trials["norm"] == "none", "training.batch_size"] = 8
    assert "batch size differs between the compared levels" in told(table)


def test_a_planned_contrast_that_was_not_run_is_named(make_sweep: Any) -> None:
    table = make_sweep(level_names=("none", "before"))
    assert "the planned before - none, after - none and after - before" in told(table)


def test_pairs_of_many_levels_that_are_not_shown_are_mentioned(
    make_sweep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_sweep(meta={"contrasts": []})
    assert "is compared with none alone" not in told(table)
    for module in ("bnbench.analysis.summary", "bnbench.report.cautions"):
        monkeypatch.setattr(f"{module}.ALL_PAIRS_OF", 2)
    said = told(make_sweep(meta={"contrasts": []}))
    assert "Each of 2 levels is compared with none alone." in said
    assert "'sweep.contrasts=[after - before]'" in said


def test_few_seeds_are_called_few(make_sweep: Any) -> None:
    assert "There are 3 seeds" in told(make_sweep(seeds=(0, 1, 2)))
    assert "There is one seed" in told(make_sweep(seeds=(0,)))


def test_uncommitted_code_is_mentioned(make_sweep: Any) -> None:
    assert "uncommitted" in told(make_sweep(meta={"git": {"commit": "abc", "dirty": True}}))
    assert "uncommitted" not in told(make_sweep())


def test_the_sweeps_own_notes_are_passed_on(make_sweep: Any) -> None:
    assert "Two kinds of processor." in cautions(make_sweep(meta={"notes": ["Two kinds of processor."]}))


def test_the_number_of_comparisons_is_stated_with_how_they_are_judged(make_sweep: Any) -> None:
    lrs = {"optimizer.lr": (0.1, 0.3, 1.0)}
    assert "9 comparisons at equal settings were named before the runs" in told(make_sweep(axes=lrs))
    unnamed = told(make_sweep(axes=lrs, meta={"contrasts": []}))
    assert "9 comparisons at equal settings are exploratory" in unnamed
    assert "named before" not in unnamed
    tuned = told(make_sweep(axes=lrs, tuning_seeds=(100, 101)))
    assert "3 comparisons each level at its own learning rate were named before the runs" in tuned


def test_the_family_told_is_the_one_that_holm_used(make_sweep: Any) -> None:
    """Without norm all trials diverge at the largest learning rate, so that two comparisons there have no p."""
    table = make_sweep(
        axes={"optimizer.lr": (0.1, 0.3, 1.0)},
        status=lambda params, level: "diverged" if level == "none" and params["optimizer.lr"] == 1.0 else "finished",
    )
    assert set(differences(table)["family"]) == {9}
    said = told(table)
    assert "9 comparisons at equal settings were named before the runs" in said
    assert "one family (2 of them without a p, and counted all the same)" in said


def test_the_smallest_difference_that_could_be_seen_is_stated(make_sweep: Any) -> None:
    """Of noise sd s in either trial, differences have sd s * sqrt(2); 10 pairs at .05 see 0.99 of that sd at 80 %."""
    table = make_sweep(level_names=("none", "before"), noise=0.01, meta={"contrasts": ["before - none"]})
    [line] = [line for line in cautions(table) if "could have seen" in line]
    seen = float(line.split("at least ")[1].split(" pp")[0])
    assert seen == pytest.approx(1.4, rel=0.6)


def test_skewed_differences_get_a_second_interval(make_sweep: Any) -> None:
    outlier = make_sweep(accuracy=lambda p, level: 0.99 if (level, p["seed"]) == ("after", 3) else 0.9, noise=0.001)
    assert "bootstrap-t interval beside t's: after - none" in told(outlier).replace("before - none", "after - none")
    assert "bootstrap" not in told(make_sweep(level_names=("none", "before"), seeds=(0, 1)))


def test_planned_and_finished_trials_are_told_apart(make_sweep: Any) -> None:
    table = make_sweep(status=lambda p, level: "failed" if level == "after" and p["seed"] > 5 else "finished")
    assert "Of 30 planned reporting trials 26 finished: none 10 of 10, before 10 of 10, after 6 of 10." in told(table)
    assert "planned reporting" not in told(make_sweep())


def test_a_sweep_in_which_nothing_finished_says_so_first(make_sweep: Any) -> None:
    assert cautions(make_sweep(status=lambda p, level: "failed"))[0] == "No reporting trial finished (30 failed)."


def test_mixed_conditions_are_told_in_a_line_each(make_sweep: Any) -> None:
    versions = ["bnbench=0.1.0 torch=2.13.0 numpy=2.3.0", "bnbench=0.1.0 torch=2.13.0 numpy=2.4.0"]
    mixed = told(
        make_sweep(meta={"conditions": {"blas": ["mkl", "openblas"], "device": ["cpu"], "versions": versions}})
    )
    assert "Mixed blas, so rounding may differ between trials: mkl and openblas." in mixed
    assert "Mixed versions, so rounding may differ between trials: numpy=2.3.0, numpy=2.4.0." in mixed
    assert "Mixed device" not in mixed


def test_targets_that_no_one_set_come_with_their_rule(make_sweep: Any) -> None:
    found = {"data": "arrays", "model": "fc", "chance": 0.25, "best": 0.9, "targets": [0.57, 0.83]}
    said = told(make_sweep(meta={"default_targets": [found, {**found, "data": "folder", "targets": []}]}))
    assert "No targets were set for arrays, fc." in said
    assert "50 % and 90 % of the way from the largest class (25.00 %) to the highest mean" in said
    assert "of any arm (90.00 %): 0.57 and 0.83." in said
    assert "No steps to a target are told of folder, fc" in said


def test_what_counts_as_collapsed_is_told_with_its_bound(make_sweep: Any) -> None:
    said = told(make_sweep(accuracy=lambda params, level: 0.1 if level == "none" else 0.9))
    assert "at most 123 of 1,000 right, where the largest class has 10.00 %: the one-sided 99 % bound" in said
