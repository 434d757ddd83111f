"""The parts in which a sweep is presented one after the other: each data set and model, with its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnbench.analysis.arms import Arm
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.design import Design
from bnbench.analysis.tuning import TunedRate


@dataclass(frozen=True, eq=False)
class Subject:
    """One part of a sweep, and what was measured in it.

    Attributes:
        where: The params' values that set it apart, by key; empty where the sweep has one subject.
        settings: The strata within it, such as the learning rate.
        arms, differences, tuned, tuned_differences: Those of the `Analysis` that belong to this subject.
        trials: Its trials, tuning seeds included.
    """

    where: dict[str, Any]
    settings: list[str]
    arms: list[Arm]
    differences: list[Contrast]
    tuned: list[TunedRate]
    tuned_differences: list[Contrast]
    trials: pd.DataFrame


def subject_keys(design: Design) -> list[str]:
    """The strata that set subjects apart: data set and model where they vary, or else the first that is no number."""
    keys = [key for key in design.strata if key in {"data", "model"}]
    trials = design.table.trials
    return keys or [key for key in design.strata if not pd.api.types.is_numeric_dtype(trials[key])][:1]
