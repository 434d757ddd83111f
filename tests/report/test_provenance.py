"""What a report says of getting the same numbers again."""

from __future__ import annotations

from typing import Any

from bnbench.report.provenance import facts


def test_what_was_not_checked_is_said_with_the_command_that_does(make_sweep: Any) -> None:
    known = dict(facts(make_sweep(meta={"verified": None})))
    assert known["Verified"] == "not yet: python -m bnbench verify placement-3f9a1c"
    assert "Reproduced" not in known


def test_of_a_sweep_recorded_before_validation_images_were_nothing_is_said(make_sweep: Any) -> None:
    assert "Validation" not in dict(facts(make_sweep()))
