"""What a report says of a sweep that went on until its contrasts were settled."""

from __future__ import annotations

from typing import Any

import pytest

from bnbench.report import Contents, in_short

_LOOKS = {"looks": [10, 16], "margin": 0.005, "contrasts": ["batch - none"]}


def _contents(make_sweep: Any, seeds: int = 16, **truth: Any) -> Contents:
    return Contents(make_sweep(level_names=("none", "before"), seeds=range(seeds), meta=_LOOKS, **truth))


def _said(contents: Contents) -> str:
    return str(contents.conclusions[0].sentences[0])


def test_a_difference_is_told_with_the_pairs_of_the_look_that_settled_it(make_sweep: Any) -> None:
    contents = _contents(make_sweep, accuracy=lambda params, level: 0.95 if level == "before" else 0.8)
    assert _said(contents).startswith("Batch beats none by 1")
    assert "10 pairs, settled by this look" in _said(contents)
    (row,) = [one.row for one in contents.analysis.differences]
    assert (row["state"], row["pairs"], row["n"], row["margin"]) == ("different", 10, 10, 0.005)


def test_equivalence_is_told_with_its_margin(make_sweep: Any) -> None:
    contents = _contents(make_sweep, noise=0.0005)
    assert _said(contents).startswith("Batch and none are equivalent within 0.50 pp")
    assert in_short(contents.analysis.differences[0]).endswith("equivalent within 0.50 pp")


def test_an_open_contrast_says_what_it_would_take(make_sweep: Any) -> None:
    contents = _contents(make_sweep, noise=0.02)
    assert _said(contents).startswith("Whether batch and none differ is open")
    assert "16 pairs do not settle it" in _said(contents)
    assert "the last look" in _said(contents)


@pytest.mark.parametrize(("failing", "words"), [(9, "batch succeeds more often"), (1, "open, descriptive")])
def test_where_trials_failed_their_numbers_decide(make_sweep: Any, failing: int, words: str) -> None:
    def status(params: dict[str, Any], level: str) -> str:
        return "diverged" if level == "none" and params["seed"] < failing else "finished"

    (contrast,) = _contents(make_sweep, seeds=10, status=status).analysis.differences
    assert words in in_short(contrast)


def test_it_is_cautioned_that_the_looks_were_allowed_for(make_sweep: Any) -> None:
    cautions = " ".join(_contents(make_sweep).cautions)
    assert "Judged together, at several looks: 1 comparison" in cautions
    assert "Holm" not in cautions
