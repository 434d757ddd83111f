"""The columns of a sweep's table of trials, and of trials.csv: its states, its params and its metrics.

A metric's key has a slash, `split/measure`, and nothing else has: params are config keys, with dots.
"""

from __future__ import annotations

from collections.abc import Iterable

STATE = ("key", "status", "reason", "diverged_step", "tuning")
"""How each trial stands, in the order of the columns; the others are params by dotted config key, then metrics."""


def metric_columns(columns: Iterable[object]) -> list[str]:
    """Those that are final metrics."""
    return [column for column in map(str, columns) if "/" in column]


def param_columns(columns: Iterable[object]) -> list[str]:
    """Those that are params, which define a trial."""
    return [column for column in map(str, columns) if "/" not in column and column not in STATE]
