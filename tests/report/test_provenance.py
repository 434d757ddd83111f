"""What a report says of getting the same numbers again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bnbench.record import names
from bnbench.report.cautions import cautions
from bnbench.report.provenance import facts

CHECK = {"trials": 4, "identical": 3, "near": 1, "cpu": "a processor", "created": "2026-01-03T00:30:00+00:00"}


def test_a_check_stands_with_its_count_date_and_processor(make_sweep: Any) -> None:
    known = dict(facts(make_sweep(meta={"verified": CHECK, "reproduced": {**CHECK, "identical": 4, "near": 0}})))
    assert known["Verified"] == (
        "3 of 4 trials retrained alone gave the same digits, 1 more as far as two devices can (2026-01-03, a processor)"
    )
    assert known["Reproduced"].startswith("4 of 4 trials trained again in packs gave the same digits (2026")


def test_what_was_not_checked_is_said_with_the_command_that_does(make_sweep: Any) -> None:
    known = dict(facts(make_sweep(meta={"verified": None})))
    assert known["Verified"] == "not yet: python -m bnbench verify placement-3f9a1c"
    assert "Reproduced" not in known


def test_the_validation_images_that_decide_and_those_of_the_curves_are_told_apart(make_sweep: Any) -> None:
    old = make_sweep()
    assert "Validation" not in dict(facts(old)), "nothing is known of it"
    images = {names.VAL_IMAGES: 500.0, names.VAL_IMAGES_CURVE: [148.0, *[349.0] * (len(old.trials) - 1)]}
    sweep = replace(old, trials=old.trials.assign(**images))
    assert dict(facts(sweep))["Validation"].startswith("500 images after the last step")
    assert dict(facts(sweep))["Validation"].endswith("; 148 to 349 along the curves")
    [steps] = [line for line in cautions(sweep) if line.startswith("Steps to a target")]
    assert "on 148 to 349 of the 500 validation images" in steps
