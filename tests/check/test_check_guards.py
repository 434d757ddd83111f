"""A crash and a hang of what is checked are rows; what cannot be checked is answered in one line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bnbench.check.examine import examine
from bnbench.check.process import Target
from bnbench.check.row import Status
from bnbench.config import ConfigError

if TYPE_CHECKING:
    from conftest import Checked

_HERE = Path(__file__).parent


def test_a_crash_is_a_row_and_the_other_properties_are_judged(checked: Checked) -> None:
    report = checked("unruly_norms:EndsItsProcess")
    row = report.named("running statistics")
    assert (row.status, row.said) == (Status.differs, "its process ended with exit status 7")
    assert report.named("training output").status == Status.holds
    assert report.named("same bits again").said == "its process ended with exit status 7"


def test_a_signal_at_the_first_call_is_the_only_row(checked: Checked) -> None:
    report = checked("unruly_norms:Aborts")
    assert [row.said for row in report.rows] == [
        "when it was imported or first called, its process ended by SIGABRT",
    ]
    assert report.faults


def test_a_hang_is_a_row_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_HERE)
    started = time.monotonic()
    report = examine(Target("unruly_norms:Sleeps", seconds=45))
    row = report.named("empty batch")
    assert (row.status, row.said) == (Status.differs, "no answer within 45 s; its process was ended")
    assert report.named("same bits again").status == Status.holds
    assert time.monotonic() - started < 500


def test_what_is_printed_is_no_answer(checked: Checked) -> None:
    assert checked("unruly_norms:Prints").faults == []


def test_a_layer_that_writes_into_its_input_is_told_so(checked: Checked) -> None:
    with pytest.raises(ConfigError, match="it wrote into its input"):
        checked("unruly_norms:WritesIntoItsInput")


def test_a_function_that_makes_a_layer_is_called_with_the_channels(checked: Checked) -> None:
    report = checked("unruly_norms:makes_a_layer", momentum=0.3)
    assert report.framework == "torch"
    assert report.named("momentum").said == "the new batch weighs 0.3; momentum=0.3 is the weight of the new batch"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("unruly_norms:NeedsMore"), ["missing 1 required positional argument: 'temperature'", "NAME=VALUE"]),
        (Target("unruly_norms:Absent"), ["unruly_norms:Absent cannot be imported", "has no attribute 'Absent'"]),
        (Target("no_such_module:BatchNorm"), ["No module named 'no_such_module'"]),
        (Target("unruly_norms:NUMBER"), ["is int; it must be a class or a function"]),
        (Target("builtins:dict"), ["its framework cannot be told", "--framework torch|keras"]),
        (Target("unruly_norms:makes_a_layer", framework="equinox"), ["--framework equinox cannot be used by"]),
        (Target("torch.nn:BatchNorm1d", python="/no/such/python"), ["--python /no/such/python cannot be started"]),
    ],
)
def test_what_cannot_be_checked_is_answered_in_one_line(
    target: Target, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(_HERE)
    with pytest.raises(ConfigError) as raised:
        examine(target)
    assert "\n" not in str(raised.value)
    assert [part for part in said if part not in str(raised.value)] == []
