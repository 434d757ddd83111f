"""What a report speaks of one after the other: each data set and model, with the settings inside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from bnbench.analysis import SweepTable, arms, differences, strata, tuned_differences, tuned_learning_rates
from bnbench.analysis.summary import matching, split_by
from bnbench.report.number_words import setting

_SCOPE = ("data", "model", "optimizer")


@dataclass(frozen=True)
class Subject:
    """One part of a sweep, and what was measured in it.

    Attributes:
        values: The params that set it apart, by key; empty where the sweep has one subject.
        settings: The strata within it, such as the learning rate.
        arms, differences, tuned, tuned_differences: The rows of the analysis of that name that are its own.
        trials: Its trials, tuning seeds included.
    """

    values: dict[str, Any]
    settings: list[str]
    arms: pd.DataFrame
    differences: pd.DataFrame
    tuned: pd.DataFrame
    tuned_differences: pd.DataFrame
    trials: pd.DataFrame

    @property
    def title(self) -> str:
        """The subject in words; empty where the sweep has one subject."""
        return setting(self.values)

    @property
    def scope(self) -> str:
        """The data, model and optimizer it speaks of, in words, whether or not they vary in the sweep."""
        named = [
            str(self.trials[key].iloc[0]) for key in _SCOPE if key in self.trials and self.trials[key].nunique() == 1
        ]
        return ", ".join(filter(None, [*named, setting({k: v for k, v in self.values.items() if k not in _SCOPE})]))


def subject_keys(table: SweepTable) -> list[str]:
    """The strata that set subjects apart."""
    keys = strata(table)
    own = [key for key in keys if key in {"data", "model"}]
    return own or [key for key in keys if not pd.api.types.is_numeric_dtype(table.trials[key])][:1]


@lru_cache(maxsize=4)  # every part of a report asks for them
def subjects(table: SweepTable) -> tuple[Subject, ...]:
    """The subjects: each data set and model where they vary, or else the first stratum that is no number."""
    own = subject_keys(table)
    settings = [key for key in strata(table) if key not in own]
    tuned = (tuned_learning_rates(table), tuned_differences(table))
    frames = (arms(table), differences(table), *tuned, table.trials)
    return tuple(
        Subject(values, settings, *(matching(frame, values) for frame in frames))
        for values, _ in split_by(table, table.trials, own)
    )
