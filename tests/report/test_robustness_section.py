"""The main differences under other choices: counted as they are, and said so."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.analysis import Analysis
from bnbench.analysis.verdict import Reading, judge_contrast
from bnbench.record import names
from bnbench.report import Contents
from bnbench.report.robustness_section import main_choices

LRS = (0.1, 0.3, 1.0)


def slope(params: Any) -> float:
    """What a learning rate loses to 0.3, the best one: at the grid's edge, nothing would be answered."""
    return abs(params["optimizer.lr"] - 0.3) / 50


def panel(make_sweep: Any, **more: Any) -> Any:
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        level_names=("none", "before"),
        tuning_seeds=(100, 101),
        meta={"contrasts": ["batch - none"]},
        **more,
    )
    made = Contents(table).robustness
    assert made is not None
    return made


def cells(made: Any) -> dict[str, str]:
    [row] = made.summary.rows
    return {column.title: cell.text for column, cell in zip(made.summary.columns, row.cells, strict=True)}


def test_what_holds_is_counted_as_the_choices_are_listed(make_sweep: Any) -> None:
    made = panel(make_sweep, accuracy=lambda p, level: (0.97 if level == "before" else 0.85) - slope(p))
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
        truth = {("before", False): 0.95, ("none", False): 0.9, ("before", True): 0.85, ("none", True): 0.91}
        return truth[here] - slope(params)

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
    said = Contents(make_sweep(level_names=("none",)))
    assert said.robustness is None
    assert said.choices == []


def failing(params: dict[str, Any], level: str) -> str:
    """No norm diverges on most seeds at the middle learning rate, and on one at the largest."""
    lost = {0.3: 8, 1.0: 1}.get(params["optimizer.lr"], 0)
    return "diverged" if level == "none" and params["seed"] < lost else "finished"


@pytest.mark.parametrize("tuning", [(), (100, 101)], ids=["equal rates", "tuned"])
@pytest.mark.parametrize("seeds", [4, 10])
@pytest.mark.parametrize("gap", [0.0, 0.006, 0.05])
def test_the_main_row_says_what_the_conclusion_says(make_sweep: Any, tuning: Any, seeds: int, gap: float) -> None:
    truth = {"none": 0.9, "before": 0.9 + gap, "after": 0.9 + gap / 2}
    table = make_sweep(
        axes={"optimizer.lr": LRS},
        seeds=range(seeds),
        tuning_seeds=tuning,
        accuracy=lambda params, level: truth[level] - slope(params),
        status=failing,
    )
    analysis = Analysis(table)
    told = [*analysis.differences, *analysis.tuned_differences]
    chosen = [choice for group in main_choices(analysis) for choice in group if choice.measure == names.TEST_ACC]
    assert len(chosen) == len(told)
    for one in told:
        rate = one.where.get("optimizer.lr", "best")
        (own,) = (choice for choice in chosen if (choice.a, choice.b, choice.rates) == (one.a, one.b, rate))
        assert own.family == one.family
        reading, doubts = judge_contrast(one)
        match reading:
            case Reading.a_leads if not doubts:
                assert own.answer == "a"
            case Reading.b_leads if not doubts:
                assert own.answer == "b"
            case Reading.failed if not doubts and one.p_mcnemar * one.family <= 0.05:
                lost_a, lost_b = (side.outcomes.diverged for side in one.sides)
                assert own.answer == ("a" if lost_b > lost_a else "b")
            case _:
                assert own.answer == "unclear"


def test_the_panel_says_which_correction_its_choices_had(make_sweep: Any) -> None:
    corrected = panel(make_sweep)
    assert "corrected for the comparisons that the sweep named, 1 to 3 of them" in corrected.sentence
    made = Contents(make_sweep(axes={"optimizer.lr": LRS}, meta={"contrasts": []})).robustness
    assert made is not None
    assert made.summary.title.endswith(", uncorrected")
    assert "no p is corrected" in made.sentence
