"""The one table that everything after training reads: a sweep as the tracking store holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnbench.record import names
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_record import SweepRecord


@dataclass(frozen=True, eq=False)
class SweepTable:
    """A sweep as the tracking store holds it.

    Attributes:
        record: What the sweep asked, where it ran, and what was found out about it besides its trials.
        trials: One row per trial, in the planned order: `key`, `status` (one of `names.STATUSES`, or
            "missing"), `reason`, `diverged_step`, `tuning`, the params by dotted config key, and the
            final metrics by metric key. A metric that a trial lacks is NaN, also the steps to a target that it missed,
            which are censored at its budget, `training.steps`.
        curves: One row for each trial's `key` and `step`, with `examples` and one column for each of
            `names.CURVES`, and for each of `names.MEASURED_CURVES` and each `names.layer_gradient` that any
            trial has; NaN where it was not measured at that step.

    Raises:
        ValueError: If a trial stands twice, has an unknown status, or finished without a test accuracy.
    """

    record: SweepRecord
    trials: pd.DataFrame
    curves: pd.DataFrame

    def __post_init__(self) -> None:
        keys, status = self.trials["key"], self.trials["status"]
        if keys.duplicated().any():
            raise ValueError(f"trial {keys[keys.duplicated()].iloc[0]} stands more than once in the sweep's table")
        unknown = sorted(set(status) - {*names.STATUSES, MISSING})
        if unknown:
            raise ValueError(f"status {unknown[0]!r} is unknown; a trial is {', '.join(names.STATUSES)} or {MISSING}")
        finished = self.trials[status == "finished"]
        if len(finished):
            bare = (
                finished["key"] if names.TEST_ACC not in finished else finished["key"][finished[names.TEST_ACC].isna()]
            )
            if len(bare):
                raise ValueError(f"trial {bare.iloc[0]} is finished and has no {names.TEST_ACC}")

    @property
    def reporting(self) -> pd.DataFrame:
        """The trials that are reported: all but those that only choose the learning rates."""
        return self.trials[~self.trials["tuning"].astype(bool)]

    @property
    def trained(self) -> pd.DataFrame:
        """The reporting trials without those that are still to be trained."""
        return self.reporting[self.reporting["status"] != MISSING]


def param_column(values: list[Any]) -> pd.Series[Any]:
    """A column of a param's values; integers and booleans keep their type even where some values are None."""
    kinds = {type(value) for value in values if value is not None}
    nullable = {frozenset({int}): "Int64", frozenset({bool}): "boolean"}
    return pd.Series(values, dtype=nullable.get(frozenset(kinds)) if None in values else None)
