"""The sentence that says which norms a network needs, from made-up comparisons whose outcome is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bnbench.report.advice import Answer, advice, remedy
from bnbench.report.standing import Standing, State

MARGIN = 0.005


def answer(ask: str, short: str, outcome: str, phrase: str = "") -> Answer:
    """An answer in which the network as it is, or the variant, wins, or in which the two are as `outcome` says."""
    contrast: Any = SimpleNamespace(a="own", b="variant", margin=MARGIN, at_edge=["own"] if outcome == "open" else [])
    state, _, winner = outcome.rpartition(" ")
    if winner in ("own", "variant"):
        standing = Standing(contrast, State(state or "different"), winner, "own" if winner == "variant" else "variant")
    else:
        standing = Standing(contrast, State(outcome))
    return Answer(ask, short, phrase or short, standing)


BN = "batch norm"


@pytest.mark.parametrize(
    ("found", "base", "said"),
    [
        (
            [answer("none", "", "own"), answer("placement", "after", "variant"),
             answer("kind", "group", "equivalent", "group norm"), answer("kind", "layer", "own", "layer norm"),
             answer("part", "stage1", "own"), answer("part", "stage2", "equivalent")],
            BN,
            "Keep batch norm, after the ReLU; group norm is equivalent within 0.5 pp; "
            "the norm of stage2 is not needed, each by itself.",
        ),
        ([answer("none", "", "own"), answer("placement", "after", "own")], BN, "Keep batch norm, before the ReLU."),
        ([answer("none", "", "own"), answer("placement", "before", "own")], BN, "Keep batch norm, after the ReLU."),
        ([answer("none", "", "failing own"), answer("placement", "after", "faster variant")], BN,
         "Keep batch norm, after the ReLU, where it trains faster."),
        ([answer("none", "", "own"), answer("placement", "after", "open")], BN, "Keep batch norm."),
        ([answer("none", "", "own"), answer("placement", "after", "equivalent")], BN,
         "Keep batch norm, before or after the ReLU alike."),
        ([answer("none", "", "variant")], BN, "Take the norms out: no norm is better than batch norm."),
        ([answer("none", "", "equivalent")], BN,
         "Batch norm is not needed: no norm is equivalent within 0.5 pp."),
        ([answer("none", "", "open")], BN, "Whether batch norm is needed is open."),
        ([answer("part", "a", "own"), answer("part", "b", "own")], BN, "Every part needs its norms."),
        ([answer("part", "a", "open"), answer("part", "b", "own")], BN, "The norm of b is needed."),
        ([answer("part", "a", "open")], BN, "Nothing can be told yet."),
        ([answer("kind", "batch", "variant", BN), answer("kind", "layer", "variant", "layer norm")], "no norm",
         "Batch norm and layer norm are better than no norm."),
        ([answer("kind", "batch", "own", BN), answer("kind", "layer", "own", "layer norm")], "no norm",
         "Put in no norm: batch norm and layer norm are worse."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_found(found: list[Answer], base: str, said: str) -> None:
    assert advice(found, base, "the ReLU") == said


def test_a_grid_that_ends_too_early_is_named() -> None:
    found = [answer("none", "", "open"), answer("part", "a", "own"), answer("part", "b", "open")]
    assert remedy(found).startswith(
        "2 of 3 comparisons are inconclusive, for a learning rate at the edge of the grid; give"
    )
    assert remedy(found[1:2]) == ""
