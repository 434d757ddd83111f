"""A pytest fixture for the tests of an implementation: `from bnbench.check.fixture import check_batch_norm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.check.examine import examine
from bnbench.check.process import Target
from bnbench.check.row import Report
from bnbench.check.text import heading

Check = Callable[..., Report]


@pytest.fixture
def check_batch_norm() -> Check:
    """A function that checks an implementation and fails the test with what is at fault.

    It is called as `check_batch_norm("package.module:name", like="torch", allowed=["empty batch"], eps=1e-3)`. `like`
    and what `Target` takes are its options, `allowed` are names of rows that may be at fault, anything else is an
    argument of the constructor. It returns the whole report.
    """

    def check(
        name: str,
        *,
        like: str | None = None,
        framework: str | None = None,
        backward: str | None = None,
        seconds: float = 120.0,
        allowed: tuple[str, ...] | list[str] = (),
        **arguments: Any,
    ) -> Report:
        report = examine(Target(name, framework, arguments, backward, seconds=seconds), like)
        faults = [row for row in report.faults if row.name not in allowed]
        if faults:
            lines = [f"  {row.name}: {row.words}" for row in faults]
            pytest.fail("\n".join([heading(report), *lines]), pytrace=False)
        return report

    return check
