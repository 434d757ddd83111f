"""What in a sweep could mislead its reader: trials left out, contrasts judged together, small differences."""

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
    """Why trials are left out of every accuracy; each reason is the name of a count in `Outcomes`."""

    diverged = "diverged"
    collapsed = "collapsed"
    failed = "failed"
    missing = "missing"


class LeftOutOfArm(NamedTuple):
    """That `n` of an arm's trials are left out; `of` counts all planned where they are missing, else those trained."""

    arm: Arm
    n: int
    of: int


class Family(NamedTuple):
    """How some contrasts are judged together.

    Attributes:
        size: How many contrasts were named before the runs, and are corrected for each other.
        tested: How many of these have a p value.
        exploratory: How many other contrasts have an interval; they are not corrected.
    """

    size: int
    tested: int
    exploratory: int


class Sight(NamedTuple):
    """The true differences that contrasts would have shown in 80 of 100 repetitions.

    Attributes:
        detectable: The difference for each contrast that could have shown one of at most 1, the largest possible.
        blind: How many contrasts could not have shown any possible difference.
    """

    detectable: list[float]
    blind: int


class RateChoice(StrEnum):
    """Whether levels are also compared at learning rates of their own, besides equal ones."""

    tuned = "tuned"  # yes: each at its own, chosen on separate seeds
    untuned = "untuned"  # no: several were tried, but no seeds were set aside to choose one
    single = "single"  # no: only one learning rate was tried


def left_out(arms: Sequence[Arm], why: LeftOut) -> list[LeftOutOfArm]:
    """The arms of which trials are left out for this reason."""
    counts = [(arm, getattr(arm.outcomes, why)) for arm in arms]
    all_count = why == LeftOut.missing
    return [LeftOutOfArm(arm, n, arm.outcomes.planned if all_count else arm.outcomes.trained) for arm, n in counts if n]


def family_of(contrasts: Sequence[Contrast]) -> Family:
    """Counts how many of these contrasts are corrected together, tested and exploratory."""
    return Family(
        size=max((one.family for one in contrasts), default=0),
        tested=sum(one.primary and not math.isnan(one.adjusted_p) for one in contrasts),
        exploratory=sum(not one.primary and one.interval.low is not None for one in contrasts),
    )


def sight_of(contrasts: Sequence[Contrast]) -> Sight:
    """The true differences that these contrasts could have shown."""
    estimated = [one.detectable for one in contrasts if not math.isnan(one.detectable)]
    detectable = [value for value in estimated if value <= 1]
    return Sight(detectable, len(estimated) - len(detectable))


def rate_choice(analysis: Analysis) -> RateChoice:
    """Whether levels are also compared at learning rates of their own, besides equal ones."""
    if analysis.tuned:
        return RateChoice.tuned
    return RateChoice.untuned if LEARNING_RATE in analysis.strata else RateChoice.single


def choice_is_open(analysis: Analysis) -> bool:
    """Whether a trial that chooses a level's learning rate is still to be trained."""
    trials = analysis.table.trials
    return bool((trials["tuning"].astype(bool) & (trials["status"] == MISSING)).any())


def absent_contrasts(analysis: Analysis) -> list[str]:
    """The contrasts that the sweep file names although this sweep lacks one of their levels."""
    asked = analysis.table.record.asked.contrasts
    return [contrast for contrast in asked if not {*levels_of(contrast)} <= {*analysis.levels}]


def leaves_out_pairs(analysis: Analysis) -> bool:
    """Whether each level is compared with the first level only, so that other pairs are not shown."""
    first, others = analysis.levels[:1], analysis.levels[1:]
    return len(others) >= ALL_PAIRS_OF and analysis.pairs == [(level, *first) for level in others]


def reported_seeds(analysis: Analysis) -> int:
    """The number of reporting seeds with a trained trial; of planned ones where none is trained yet."""
    table = analysis.table
    return int(table.trained["seed"].nunique() or table.reporting["seed"].nunique())


def mixed_conditions(conditions: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The conditions, by name, that were not the same for all trials; of `versions`, only those that differ.

    Trials trained under different conditions may round differently.
    """
    mixed = {name: [*values] for name, values in conditions.items() if len(values) > 1}
    if "versions" in mixed:
        words: list[set[str]] = [{*value.split()} for value in mixed["versions"]]
        mixed["versions"] = [", ".join(sorted(set[str]().union(*words) - words[0].intersection(*words)))]
    return mixed
