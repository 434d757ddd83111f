"""The learning rate of each level is chosen on tuning seeds, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.analysis import Analysis, SweepTable
from bnbench.analysis.tuning import TunedRate, tuning_measure
from bnbench.record import names

TUNING = [100, 101]


def grid(
    best: float, *, reporting: float = 0.9, norm: str = "none", seeds: tuple[int, ...] = (0, 1, 100, 101)
) -> list[dict[str, Any]]:
    """Trials whose last validation accuracy peaks at `best` on tuning seeds, and elsewhere on the others."""
    return [
        {
            "seed": seed,
            "norm": norm,
            "optimizer.lr": lr,
            names.VAL_ACC_FINAL: 0.9 - (abs(lr - best) if seed in TUNING else -2 * lr),
            names.TEST_ACC: reporting + 0.001 * seed * (norm != "none") + 0.01 * lr,
        }
        for lr in (0.1, 0.3, 1.0)
        for seed in seeds
    ]


def chosen_in(table: SweepTable) -> list[TunedRate]:
    return Analysis(table).tuned


def table(table_of: Any, rows: list[dict[str, Any]]) -> Any:
    return table_of(rows, tuning_seeds=TUNING, varied=["optimizer.lr", "norm", "seed"])


def test_the_last_evaluation_chooses_and_not_the_best_point_of_a_curve_on_fewer_images(table_of: Any) -> None:
    rows = [{**row, names.ACC_BEST: row["optimizer.lr"]} for row in grid(0.3)]
    assert [one.rate for one in chosen_in(table(table_of, rows))] == [0.3]


def test_an_older_sweep_without_that_evaluation_chooses_by_the_best_point_as_it_did_then(table_of: Any) -> None:
    rows = [{("val/acc_best" if key == "val/acc_final" else key): v for key, v in row.items()} for row in grid(0.3)]
    old = table(table_of, rows)
    assert tuning_measure(old) == names.ACC_BEST
    assert [one.rate for one in chosen_in(old)] == [0.3]


def test_reporting_seeds_have_no_say_in_the_choice(table_of: Any) -> None:
    assert [(one.rate, one.at_edge) for one in chosen_in(table(table_of, grid(0.3)))] == [(0.3, False)]


@pytest.mark.parametrize("best", [0.1, 1.0])
def test_a_choice_at_either_end_of_the_grid_is_marked(table_of: Any, best: float) -> None:
    assert [one.at_edge for one in chosen_in(table(table_of, grid(best)))] == [True]


def test_a_level_at_chance_at_every_learning_rate_has_no_edge(table_of: Any) -> None:
    rows = [{**row, "data": "mnist_5k", names.TEST_ACC: 0.1} for row in grid(0.1)]
    assert [(one.rate, one.at_edge) for one in chosen_in(table(table_of, rows))] == [(0.1, False)]
    rows[0][names.TEST_ACC] = rows[-1][names.TEST_ACC] = 0.5  # of which the second is a tuning trial
    assert [one.at_edge for one in chosen_in(table(table_of, rows))] == [True]


def test_a_learning_rate_at_which_tuning_trials_diverged_is_not_chosen_for_its_survivors(
    table_of: Any,
) -> None:
    rows = grid(0.3)
    for row in rows:
        if row["optimizer.lr"] == 0.3 and row["seed"] == 100:
            row["status"] = "diverged"
    assert [one.rate for one in chosen_in(table(table_of, rows))] == [0.1]


def test_each_level_is_compared_at_its_own_learning_rate(table_of: Any) -> None:
    made = table(table_of, grid(0.3) + grid(0.1, reporting=0.95, norm="batch"))
    (found,) = Analysis(made).tuned_differences
    assert (found.a, found.b) == ("batch", "none")
    assert found.chosen == {"lr_a": 0.1, "lr_b": 0.3, "at_edge_a": True, "at_edge_b": False}
    # Of seeds 0 and 1: (0.951, 0.952) against 0.903 and 0.903.
    assert found.n == 2
    assert found.interval.mean == pytest.approx(0.0485)


def test_without_tuning_seeds_nothing_is_chosen(table_of: Any) -> None:
    rows = grid(0.3, seeds=(0, 1))
    assert chosen_in(table(table_of, rows)) == []
    assert Analysis(table(table_of, rows)).tuned_differences == []


def test_a_level_without_a_finished_tuning_trial_has_no_choice(table_of: Any) -> None:
    rows = grid(0.3) + [{**row, "status": "undefined"} for row in grid(0.3, norm="batch")]
    assert [one.level for one in chosen_in(table(table_of, rows))] == ["none"]
    assert Analysis(table(table_of, rows)).tuned_differences == []
