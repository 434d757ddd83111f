"""A sweep of which some trials are not trained yet: said first, and no trial of it counts as failed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bnbench.analysis import Analysis
from bnbench.analysis.caveats import choice_is_open
from bnbench.report import Contents, terminal_conclusion, terminal_table, write_live_report, write_report
from bnbench.report.claims_section import judge_claims
from bnbench.report.contrast_words import remark
from bnbench.report.html import to_html
from bnbench.report.latex import to_latex
from bnbench.report.markdown import to_markdown
from bnbench.report.tables import outcome_cell
from bnbench.report.two_sweeps_page import compare_sweeps

FIRST = "18 of 30 trials done"


def half(params: dict[str, Any], level: str) -> str:
    """Six seeds are trained; without norm two of them diverged."""
    if params["seed"] > 5:
        return "missing"
    return "diverged" if level == "none" and params["seed"] < 2 else "finished"


@pytest.fixture
def table(make_sweep: Any) -> Any:
    return make_sweep(status=half)


def test_every_form_of_the_report_begins_with_how_much_is_done(table: Any) -> None:
    said = Contents(table)
    assert said.unfinished.startswith(f"{FIRST}: the sweep is unfinished.")
    assert terminal_conclusion(said, 100).startswith(FIRST)
    assert to_latex(said).startswith(f"% {FIRST}")
    for text, setup in ((to_markdown(said), "Test accuracy after"), (to_html(said), "Test accuracy after")):
        assert 0 < text.index(FIRST) < text.index(setup)


def test_a_finished_sweep_says_nothing_of_the_kind(make_sweep: Any) -> None:
    whole = Contents(make_sweep(status=lambda params, level: "failed" if params["seed"] == 0 else "finished"))
    assert whole.unfinished == ""
    assert "unfinished" not in to_html(whole) + to_markdown(whole) + terminal_conclusion(whole, 100)


def test_trials_that_ended_in_an_error_are_told_apart(make_sweep: Any) -> None:
    table = make_sweep(status=lambda params, level: {0: "failed", 1: "missing"}.get(params["seed"], "finished"))
    assert Contents(table).unfinished.startswith("24 of 30 trials done, 3 trials ended in an error: ")


def test_only_trained_trials_are_counted_and_none_of_the_others_as_failed(table: Any) -> None:
    contents = Contents(table)
    told = contents.analysis.differences[0]
    assert (told.n, *(side.outcomes.missing for side in told.sides)) == (4, 4, 4)
    assert remark(told) == "descriptive, for trials diverged: none 2 of 6"
    cells = [outcome_cell(arm.outcomes).text for arm in contents.analysis.arms]
    assert cells == ["4 of 6, 2 diverged, 4 to be trained", *["6 of 6, 4 to be trained"] * 2]
    assert "over 6 seeds" in contents.setup
    assert "missing" not in terminal_table(contents, 200)


def test_pairs_that_are_still_to_come_have_not_failed(make_sweep: Any) -> None:
    table = make_sweep(status=lambda params, level: "missing" if level == "after" else "finished")
    read = {f"{one.a} - {one.b}": remark(one) for one in Analysis(table).differences}
    assert read["after - none"] == read["after - before"] == "no pair is trained yet"


def test_no_learning_rate_is_chosen_before_all_that_choose_it_are_trained(make_sweep: Any) -> None:
    """One tuning trial at 1.0 is to come; as a failure it would hand the choice to another learning rate."""
    axes, seeds = {"optimizer.lr": (0.1, 0.3, 1.0)}, (100, 101)

    def status(params: dict[str, Any], level: str) -> str:
        late = (params["optimizer.lr"], params["seed"], level) == (1.0, 101, "before")
        return "missing" if late else "finished"

    table = make_sweep(axes=axes, tuning_seeds=seeds, status=status)
    assert {one.level for one in Analysis(table).tuned} == {"none", "after"}
    assert choice_is_open(Analysis(table))


def test_a_level_whose_learning_rates_are_not_all_trained_has_no_window_yet(make_sweep: Any) -> None:
    table = make_sweep(
        axes={"optimizer.lr": (0.1, 0.3, 1.0)},
        status=lambda params, level: "missing" if (level, params["optimizer.lr"]) == ("none", 1.0) else "finished",
    )
    assert {window.level for window in Analysis(table).windows} == {"before", "after"}


def test_no_claim_is_judged_on_half_a_sweep(make_sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnbench.report.claims_section.claims_touched", lambda analysis: ["judged"])
    assert judge_claims(Analysis(make_sweep(status=half))) == []
    assert judge_claims(Analysis(make_sweep())) == ["judged"]


def test_the_files_say_which_trials_are_to_come(table: Any, tmp_path: Path) -> None:
    lines = write_report(Contents(table), tmp_path)["trials.csv"].read_text().splitlines()
    assert sum(",missing," in line for line in lines) == 12


def test_a_comparison_with_an_unfinished_sweep_says_so_first(table: Any, make_sweep: Any) -> None:
    said = compare_sweeps(make_sweep(), table)
    assert said.sentences[0] == (
        "18 of 30 trials done in the second: it is unfinished, and only trials that are there are compared."
    )
    cells = [cell.text for row in said.tables[0].rows for cell in row.cells]
    assert not any("of 10)" in text for text in cells)
    assert any(text.endswith("(4 of 6)") for text in cells)
    assert "unfinished" not in "".join(compare_sweeps(make_sweep(), make_sweep()).sentences)


def test_other_choices_are_not_asked_of_levels_that_are_still_to_be_trained(make_sweep: Any) -> None:
    table = make_sweep(status=lambda params, level: "missing" if level == "after" else "finished")
    made = Contents(table).robustness
    assert made is not None
    assert [row.cells[0].text for row in made.summary.rows] == ["before - none"]


def test_the_page_of_a_sweep_that_is_being_trained_says_when_it_was_written_and_reloads_itself(
    make_sweep: Any, tmp_path: Path
) -> None:
    table = make_sweep(seeds=range(2), status=lambda params, level: "finished" if level == "none" else "missing")
    write_live_report(table, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert '<meta http-equiv="refresh"' in page
    assert re.search(r"was running at 20\d\d-\d\d-\d\d \d\d:\d\d UTC, with 2 of 6 trials done", page)
    write_report(Contents(table), tmp_path)
    assert "http-equiv" not in (tmp_path / "report.html").read_text()


def test_before_any_trial_is_done_there_is_no_such_page(make_sweep: Any, tmp_path: Path) -> None:
    write_live_report(make_sweep(status=lambda params, level: "missing"), tmp_path)
    assert [*tmp_path.iterdir()] == []
