"""The modules beside the tests as what is checked; each implementation is put through its properties once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnbench.check.examine import examine
from bnbench.check.process import Target
from bnbench.check.row import Report

Checked = Callable[..., Report]

_reports: dict[str, Report] = {}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """`checked("wrong_norms:Right", like="torch")`: the report, made once a session."""
    monkeypatch.chdir(Path(__file__).parent)

    def check(name: str, *, like: str | None = None, backward: str | None = None, **arguments: object) -> Report:
        key = repr((name, like, backward, arguments))
        if key not in _reports:
            _reports[key] = examine(Target(name, arguments=arguments, backward=backward, seconds=600), like)
        return _reports[key]

    return check
