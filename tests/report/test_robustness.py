"""The main differences under other choices: counted as they are, and said so."""

from __future__ import annotations

from typing import Any

from bnbench.report.robustness import robustness_data, robustness_panel

LRS = (0.1, 0.3, 1.0)


def panel(make_sweep: Any, **more: Any) -> Any:
    made = robustness_panel(
        make_sweep(
            axes={"optimizer.lr": LRS},
            level_names=("none", "before"),
            tuning_seeds=(100, 101),
            meta={"contrasts": ["batch - none"]},
            **more,
        )
    )
    assert made is not None
    return made


def cells(made: Any) -> dict[str, str]:
    [row] = made.summary.rows
    return {column.title: cell.text for column, cell in zip(made.summary.columns, row.cells, strict=True)}


def test_what_holds_is_counted_as_the_choices_are_listed(make_sweep: Any) -> None:
    made = panel(make_sweep, accuracy=lambda p, level: 0.97 if level == "before" else 0.85)
    row = cells(made)
    listed = [
        dict(zip(("choice", "holds"), (one.cells[0].text, one.cells[-1].text), strict=True))
        for one in made.details[0].rows
    ]
    held = sum(one["holds"] == "yes" for one in listed)
    assert row["holds in"] == f"{held} of {len(listed)}"
    assert (row["answer"], row["reversed in"]) == ("batch leads", "0")
    assert all(one["holds"] == "yes" for one in listed if "accuracy" in one["choice"])
    assert made.sentence.startswith(
        f"Where the main analysis has an answer, it holds in {held} of {len(listed)}; 0 rev"
    )


def test_an_effect_that_turns_at_a_learning_rate_is_not_said_to_hold(make_sweep: Any) -> None:
    def accuracy(params: Any, level: str) -> float:
        here = (level, params["optimizer.lr"] == 1.0)
        return {("before", False): 0.95, ("none", False): 0.9, ("before", True): 0.85, ("none", True): 0.91}[here]

    row = cells(panel(make_sweep, accuracy=accuracy, noise=0.001))
    held, of = map(int, row["holds in"].split(" of "))
    assert row["answer"] == "batch leads"
    assert int(row["reversed in"]) > 0
    assert held + int(row["reversed in"]) + int(row["unclear in"]) == of


def test_where_there_is_no_answer_none_is_said_to_hold(make_sweep: Any) -> None:
    made = panel(make_sweep, noise=0.0)
    assert cells(made)["answer"] == "cannot tell"
    assert cells(made)["holds in"] == "no answer to hold"
    assert "no answer that other choices could change" in made.sentence


def test_nothing_to_compare_is_no_panel(make_sweep: Any) -> None:
    assert robustness_panel(make_sweep(level_names=("none",))) is None
    assert robustness_data(make_sweep(level_names=("none",))).empty
