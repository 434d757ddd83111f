"""The columns of a sweep's table of trials, and of trials.csv: how each trial stands, its params and its metrics.

Only the names of metrics have a slash, `split/measure`; params are config keys, with dots.
"""

from __future__ import annotations

from collections.abc import Iterable

STATE = ("key", "status", "reason", "diverged_step", "tuning")
"""The columns that say how each trial stands, in their order; after them come params, then metrics."""


def metric_columns(columns: Iterable[object]) -> list[str]:
    """The names of those columns that are final metrics."""
    return [column for column in map(str, columns) if "/" in column]


def param_columns(columns: Iterable[object]) -> list[str]:
    """The names of those columns that are params, which define a trial."""
    return [column for column in map(str, columns) if "/" not in column and column not in STATE]
