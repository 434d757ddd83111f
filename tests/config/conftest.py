"""Fixtures that make a configuration or a trial from a few values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnbench.config import Config, Trial, schema
from bnbench.sweep.planning.compose import set_values

MakeTrial = Callable[..., Trial]


@pytest.fixture(scope="session")
def make_config() -> Callable[[dict[str, Any]], Config]:
    """The defaults with some values set, each by its dotted key."""
    return lambda values: set_values(schema(), values)


@pytest.fixture(scope="session")
def make_trial(make_config: Callable[[dict[str, Any]], Config]) -> MakeTrial:
    def make(values: dict[str, Any], *, train_size: int = 1000, data_checksum: str = "c") -> Trial:
        return Trial.from_config(make_config(values), train_size=train_size, data_checksum=data_checksum)

    return make
