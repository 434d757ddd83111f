"""What in a sweep could mislead its reader: trials left out, contrasts judged together, differences out of sight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from bnbench.analysis.arms import Arm
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.design import ALL_PAIRS_OF, LEARNING_RATE, levels_of
from bnbench.analysis.of_sweep import Analysis
from bnbench.record.planned_trial import MISSING

FEW_SEEDS = 10
"""Reporting seeds below which the smallest effects of interest are not seen."""


class LeftOut(StrEnum):
    """Why trials are in no accuracy; each is the name of a count in `Outcomes`."""

    diverged = "diverged"
    collapsed = "collapsed"
    failed = "failed"
    missing = "missing"


class LeftOutOfArm(NamedTuple):
    """How many of an arm's trials are left out, and of how many: all where they are missing, or else those trained."""

    arm: Arm
    n: int
    of: int


class Family(NamedTuple):
    """How some contrasts are judged together.

    Attributes:
        size: How many were named before the runs, and are corrected for each other.
        tested: Of these, how many have a p.
        exploratory: How many others have an interval, and are not corrected.
    """

    size: int
    tested: int
    exploratory: int


class Sight(NamedTuple):
    """The true differences that contrasts would have shown in 80 of 100 repetitions.

    Attributes:
        detectable: Of those that could have seen some difference of accuracies.
        blind: How many others could not have seen any.
    """

    detectable: list[float]
    blind: int


class RateChoice(StrEnum):
    """At which learning rates levels are compared besides equal ones."""

    tuned = "tuned"  # each at its own, chosen on seeds apart
    untuned = "untuned"  # at none: several were tried, and no seeds were set aside to choose
    single = "single"  # one alone was tried


def left_out(arms: Sequence[Arm], why: LeftOut) -> list[LeftOutOfArm]:
    """The arms of which trials are left out for this reason."""
    counts = [(arm, getattr(arm.outcomes, why)) for arm in arms]
    all_count = why == LeftOut.missing
    return [LeftOutOfArm(arm, n, arm.outcomes.planned if all_count else arm.outcomes.trained) for arm, n in counts if n]


def family_of(contrasts: Sequence[Contrast]) -> Family:
    """How these contrasts are judged together."""
    return Family(
        size=max((one.family for one in contrasts), default=0),
        tested=sum(one.primary and not math.isnan(one.adjusted_p) for one in contrasts),
        exploratory=sum(not one.primary and one.interval.low is not None for one in contrasts),
    )


def sight_of(contrasts: Sequence[Contrast]) -> Sight:
    """What these contrasts would have shown."""
    estimated = [one.detectable for one in contrasts if not math.isnan(one.detectable)]
    detectable = [value for value in estimated if value <= 1]
    return Sight(detectable, len(estimated) - len(detectable))


def rate_choice(analysis: Analysis) -> RateChoice:
    """At which learning rates levels are compared besides equal ones."""
    if analysis.tuned:
        return RateChoice.tuned
    return RateChoice.untuned if LEARNING_RATE in analysis.strata else RateChoice.single


def choice_is_open(analysis: Analysis) -> bool:
    """Whether a trial that chooses a level's learning rate is still to be trained."""
    trials = analysis.table.trials
    return bool((trials["tuning"].astype(bool) & (trials["status"] == MISSING)).any())


def absent_contrasts(analysis: Analysis) -> list[str]:
    """The contrasts that the sweep file names and this sweep does not have the levels for."""
    asked = analysis.table.record.asked.contrasts
    return [contrast for contrast in asked if not {*levels_of(contrast)} <= {*analysis.levels}]


def leaves_out_pairs(analysis: Analysis) -> bool:
    """Whether each level is compared with the first alone, though there are more pairs."""
    first, others = analysis.levels[:1], analysis.levels[1:]
    return len(others) >= ALL_PAIRS_OF and analysis.pairs == [(level, *first) for level in others]


def reported_seeds(analysis: Analysis) -> int:
    """On how many seeds trials are reported, or will be where none is trained yet."""
    table = analysis.table
    return int(table.trained["seed"].nunique() or table.reporting["seed"].nunique())


def mixed_conditions(conditions: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The conditions of which trials had several, by name; of versions only those that differ.

    Trials trained under unlike conditions round alike only within each.
    """
    mixed = {name: [*values] for name, values in conditions.items() if len(values) > 1}
    if "versions" in mixed:
        words: list[set[str]] = [{*value.split()} for value in mixed["versions"]]
        mixed["versions"] = [", ".join(sorted(set[str]().union(*words) - words[0].intersection(*words)))]
    return mixed
