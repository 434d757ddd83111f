"""Several sweep files crossed ask what each of them asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bnbench.config import SweepConfig
from bnbench.sweep.combine import combined

PLACEMENT = SweepConfig(
    question="Before or after?", compare=["norm", "norm.placement"], contrasts=["before - after"], tuning_seeds=[100]
)
BATCH_SIZE = SweepConfig(question="How small a batch?", compare=["norm"], contrasts=["batch - none"])
STATISTICS = SweepConfig(question="Which statistics?", compare=["norm.inference"], contrasts=["running - batch"])
FILES = {"placement": PLACEMENT, "batch_size": BATCH_SIZE, "statistics": STATISTICS}


def cross(*names: str, **typed: Any) -> SweepConfig:
    """Hydra's merge, in which the last file wins and what is typed wins over it, then ours."""
    words = [f"+sweep=[{','.join(names)}]", *(f"sweep.{key}={value}" for key, value in typed.items())]
    return combined(replace(FILES[names[-1]], **typed), words, names, FILES.__getitem__)


def test_every_question_is_kept_in_the_order_of_the_files() -> None:
    assert cross("placement", "batch_size").question == "Before or after? How small a batch?"
    assert cross("placement", "statistics").question == "Before or after? Which statistics?"


def test_the_wider_comparison_is_made_whichever_comes_last() -> None:
    for names in (("placement", "batch_size"), ("batch_size", "placement")):
        asked = cross(*names)
        assert asked.compare == ["norm", "norm.placement"]
        assert {*asked.contrasts} == {"before - after", "batch - none"}


def test_files_that_compare_unlike_things_leave_it_to_the_last() -> None:
    asked = cross("placement", "statistics")
    assert (asked.compare, asked.contrasts) == (["norm.inference"], ["running - batch"])


def test_what_is_typed_stays() -> None:
    asked = cross("placement", "batch_size", question="Mine?", compare=["norm"])
    assert (asked.question, asked.compare) == ("Mine?", ["norm"])


def test_a_single_file_stays_as_it_is() -> None:
    assert cross("placement") == PLACEMENT
    assert combined(PLACEMENT, [], [], FILES.__getitem__) is PLACEMENT
