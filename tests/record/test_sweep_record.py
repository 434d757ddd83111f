"""A sweep's record through JSON: whole from today's bnbench, and as far as it goes from another one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bnbench.record.sweep_record import (
    Asked,
    CheckRecord,
    ClaimRecord,
    DataRecord,
    DefaultTargets,
    Environment,
    FoundOut,
    Place,
    PlanCounts,
    SweepRecord,
    SweepSummary,
    TimedArm,
    TimingRecord,
)

CHECK = CheckRecord(trials=4, identical=3, near=1, cpu="a processor", created="2026-01-03T00:30:00+00:00")
WHOLE = SweepRecord(
    Asked(
        "placement",
        "0a1b",
        question="?",
        contrasts=["before - after"],
        tuning_seeds=[100],
        data=[DataRecord("digits", "scikit-learn", "12:34", train=1200, val=297, test=300, largest_class=0.1)],
        claims={"C1": ClaimRecord("h", {"sweep": "placement"}, left_out=2)},
        earlier=[SweepSummary("ffff", "2026-01-01T00:00:00+00:00", "FINISHED", [0, 1], {"C1": "h"})],
    ),
    Environment({"torch": "2.13.0"}, {"commit": "c"}, {"cpu": "a processor"}),
    PlanCounts(trials=8, packs=2, workers=2),
    Place("sqlite:///a.db", "5c", "1"),
    FoundOut(
        wall_seconds=3.5,
        verified=CHECK,
        conditions={"device": ["cpu"]},
        timing=TimingRecord("placement", [TimedArm("none", "a shape", [0.1, 0.2], ["k0"])], turn_seconds=0.5),
        default_targets=[DefaultTargets("digits", "fc", chance=0.1, best=0.9, targets=[0.5])],
    ),
)


def through_text(values: Any) -> Any:
    return json.loads(json.dumps(values, allow_nan=False))


def test_a_record_that_went_through_json_is_the_same() -> None:
    assert SweepRecord.from_json(through_text(WHOLE.to_json())) == WHOLE


def test_what_was_planned_is_recorded_without_what_was_found_out_since() -> None:
    read = SweepRecord.from_json(through_text(WHOLE.planned_json()))
    assert (read.asked, read.environment, read.plan) == (WHOLE.asked, WHOLE.environment, WHOLE.plan)
    assert (read.place, read.found_out) == (Place(), FoundOut())


def test_keys_that_a_newer_bnbench_has_added_are_left_out_everywhere() -> None:
    values = through_text(WHOLE.to_json())
    sections = [values, values["plan"], values["verified"], values["timing"], values["timing"]["arms"][0]]
    sections += [values["data"][0], values["claims"]["C1"], values["earlier"][0], values["default_targets"][0]]
    for section in sections:
        section["of_tomorrow"] = 1
    assert SweepRecord.from_json(values) == WHOLE


def test_keys_that_an_older_bnbench_did_not_record_have_their_defaults() -> None:
    assert SweepRecord.from_json({"name": "a", "id": "1"}) == SweepRecord(Asked("a", "1"))


def test_a_record_without_what_every_bnbench_has_recorded_is_refused() -> None:
    with pytest.raises(TypeError, match="name"):
        SweepRecord.from_json({"id": "1"})
