"""Two levels compared pair by pair: what a sweep's contrasts estimate, and what they may claim together.

False positives were measured on 2,000 made-up sweeps without an effect, each with three contrasts against one shared
arm and ten seeds (tests/analysis/test_false_positives.py). At matched learning rates 4.7 % of the comparisons are
significant at .05, and at each level's best, chosen on three other seeds, 4.9 %. After Holm 4.9 and 5.0 % of the sweeps
claim anything; without it 12.3 and 12.6 % would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandas as pd

from bnbench.analysis.design import LEARNING_RATE, Design, setting_of
from bnbench.analysis.intervals import (
    Interval,
    are_equal,
    bootstrap_t_interval,
    mean_interval,
    pair_by_seed,
    skewness,
)
from bnbench.analysis.outcomes import Outcomes, count_outcomes, succeeded
from bnbench.analysis.power import detectable_difference
from bnbench.analysis.significance import ALPHA, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.tuning import TunedRate
from bnbench.record import names
from bnbench.record.columns import metric_columns

Rates = Literal["matched", "best"]
"""Whether two levels are compared at equal learning rates, or each at the one its tuning seeds chose."""

_SKEWED = 1.0
_COUNTED = ("planned", "missing", "finished", "diverged", "collapsed", "undefined")


class Side(NamedTuple):
    """One of two levels that are compared.

    Attributes:
        level: The level's name.
        outcomes: How its trials ended.
        tuned: The learning rate its tuning seeds chose; None where levels are compared at equal learning rates.
    """

    level: str
    outcomes: Outcomes
    tuned: TunedRate | None


@dataclass(frozen=True, eq=False)
class Contrast:
    """The paired differences a - b of one measure in one stratum, and what follows from them.

    For a measure of the trained network (`train/`, `val/`, `test/`), a pair counts if both of its trials succeeded; for
    any other measure, such as a gradient's size, if both have a value.

    Attributes:
        where: The stratum, as its params' values by key.
        sides: The levels a and b.
        measure: The metric's key.
        differences: a - b of each pair, indexed by seed, seeds ascending.
        p_mcnemar: Exact p value of the test that both arms' trials are equally likely to succeed; NaN where no pair
            has ended.
        family: How many primary comparisons are judged together; 0 for an exploratory contrast.
        adjusted_p: The p value after Holm's correction in that family; NaN for an exploratory contrast.
    """

    where: dict[str, Any]
    sides: tuple[Side, Side]
    measure: str
    differences: pd.Series[float]
    p_mcnemar: float
    family: int = 0
    adjusted_p: float = math.nan

    @property
    def a(self) -> str:
        """The level that b is subtracted from."""
        return self.sides[0].level

    @property
    def b(self) -> str:
        """The level that is subtracted."""
        return self.sides[1].level

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.differences)

    @property
    def chosen(self) -> dict[str, Any]:
        """`lr_a`, `lr_b`, `at_edge_a`, `at_edge_b` where each level is at its own learning rate; else empty."""
        tuned = [(x, side.tuned) for x, side in zip("ab", self.sides, strict=True) if side.tuned]
        return {f"lr_{x}": tuned_rate.rate for x, tuned_rate in tuned} | {
            f"at_edge_{x}": tuned_rate.at_edge for x, tuned_rate in tuned
        }

    @property
    def at_edge(self) -> list[str]:
        """The levels whose tuned learning rate is at its grid's edge; none at equal learning rates."""
        return [side.level for side in self.sides if side.tuned and side.tuned.at_edge]

    @property
    def primary(self) -> bool:
        """Whether the sweep file named this contrast before the runs."""
        return self.family > 0

    @property
    def descriptive(self) -> bool:
        """Whether a trial of either arm failed: success rates then come first, and differences are of survivors."""
        return any(side.outcomes.diverged or side.outcomes.collapsed for side in self.sides)

    @property
    def successes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """For a and for b: how many trials finished and did not collapse, and how many finished or diverged."""
        of_a, of_b = ((side.outcomes.succeeded, side.outcomes.ended) for side in self.sides)
        return of_a, of_b

    @property
    def seeds_suffice(self) -> bool:
        """Whether the pairs are enough for a sign-flip test to be significant at all in a family of this size."""
        return seeds_suffice(self.n, max(1, self.family), ALPHA)

    @cached_property
    def interval(self) -> Interval:
        """The mean difference and its 95 % paired t interval."""
        return self._cut(mean_interval(self.differences, 1 - ALPHA))

    @cached_property
    def family_interval(self) -> Interval:
        """The mean difference and its paired t interval at Bonferroni's level, for all of the family at once."""
        return self._cut(mean_interval(self.differences, 1 - ALPHA / max(1, self.family)))

    @cached_property
    def skewness(self) -> float:
        """The skewness of the differences; NaN for fewer than three."""
        return skewness(self.differences)

    @cached_property
    def bootstrap(self) -> Interval | None:
        """The bootstrap-t interval where the differences are skewed by more than 1; else None."""
        return self._cut(bootstrap_t_interval(self.differences, 1 - ALPHA)) if abs(self.skewness) > _SKEWED else None

    @cached_property
    def p(self) -> float:
        """The p value of the two-sided paired t test."""
        return paired_t_p(self.differences)

    @cached_property
    def sign_flip_p(self) -> float:
        """The p value of the two-sided sign-flip test, which assumes only symmetric differences."""
        return sign_flip_p(self.differences)

    @cached_property
    def detectable(self) -> float:
        """The true difference that as many pairs with this spread would show in 80 of 100 such sweeps.

        It is tested at the family's Bonferroni level, the strictest that Holm can ask for. NaN without an interval.
        """
        d = self.differences.to_numpy()
        if len(d) < 2 or are_equal(d):
            return math.nan
        return detectable_difference(float(d.std(ddof=1)), len(d), ALPHA / max(1, self.family))

    @property
    def row(self) -> dict[str, Any]:
        """The contrast as a row of `differences.csv`; a value that does not exist is NaN."""
        sides = list(zip("ab", self.sides, strict=True))
        family, skewed = self.family_interval.columns("family_"), (self.bootstrap or _NONE).columns("bootstrap_")
        return {
            **self.where,
            "a": self.a,
            "b": self.b,
            **self.chosen,
            **self.interval.columns(""),
            "p": self.p,
            "p_sign_flip": self.sign_flip_p,
            "p_holm": self.adjusted_p,
            "family": self.family,
            "primary": self.primary,
            "seeds_suffice": self.seeds_suffice,
            **{key: family[key] for key in ("family_low", "family_high")},
            "skewness": self.skewness,
            **{key: skewed[key] for key in ("bootstrap_low", "bootstrap_high")},
            "detectable": self.detectable,
            **{f"{name}_{x}": getattr(side.outcomes, name) for x, side in sides for name in _COUNTED},
            "p_mcnemar": self.p_mcnemar,
            "descriptive": self.descriptive,
        }

    @property
    def more_is_better(self) -> bool:
        """Whether a larger value is better: False for a loss, True for a measure that bnbench does not know."""
        return self._metric is None or self._metric.better != "lower"

    @property
    def _metric(self) -> names.Metric | None:
        try:
            return names.metric(self.measure)
        except KeyError:
            return None

    def _cut(self, interval: Interval) -> Interval:
        """Cut the interval of a fraction's difference to [-1, 1], outside of which none lies; it loses no coverage."""
        return interval.cut(-1.0, 1.0) if self._metric and self._metric.unit == "fraction" else interval


_NONE = Interval(0, math.nan, None, None)


def compare_levels(
    design: Design,
    measure: str = names.TEST_ACC,
    tuned: Sequence[TunedRate] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> list[Contrast]:
    """Every contrast of the sweep in every stratum, corrected for their number.

    Holm's family is decided before the runs: the contrasts that the sweep file lists, of test accuracy, in all
    strata; those at matched learning rates are one family and those at each level's best another, for they answer
    two questions. Where the file lists none, and for any other measure, comparisons are exploratory: they are not
    corrected, and are called exploratory. A stratum in which either level was not planned has no contrast.

    Args:
        design: The sweep.
        measure: A metric key among the table's columns.
        tuned: The learning rate chosen for each level and stratum; None compares levels at equal learning rates.
        pairs: Pairs (a, b) to compare besides the sweep's own; one replaces its reverse (b, a).

    Raises:
        ValueError: If the sweep has no such level or measure.
    """
    _check(design, measure, pairs)
    reversed_pairs = {(b, a) for a, b in pairs}
    shown = [(b, a) if (a, b) in reversed_pairs else (a, b) for a, b in design.pairs]
    shown += [pair for pair in pairs if pair not in shown]
    listed = {frozenset(pair) for pair in design.pairs} if design.table.record.asked.contrasts else set()
    compared = [_compare_arms(arms, measure) for arms in paired_arms(design, tuned, shown)]  # the family is set below
    primary = [i for i, one in enumerate(compared) if measure == names.TEST_ACC and frozenset((one.a, one.b)) in listed]
    for i, adjusted in zip(primary, holm([compared[i].p for i in primary]), strict=True):
        compared[i] = replace(compared[i], family=len(primary), adjusted_p=adjusted)
    return compared


class TwoArms(NamedTuple):
    """The trials of two levels in one stratum, with their tuned rates; None for both at equal learning rates."""

    where: dict[str, Any]
    levels: tuple[str, str]
    trials: tuple[pd.DataFrame, pd.DataFrame]
    tuned: tuple[TunedRate | None, TunedRate | None]


def paired_arms(
    design: Design, tuned: Sequence[TunedRate] | None, pairs: Sequence[tuple[str, str]]
) -> Iterator[TwoArms]:
    """The two arms of each pair in each stratum, unless a level was not planned or has no tuned rate there."""
    keys = design.strata if tuned is None else design.conditions
    rates = {(*setting_of(one.where), one.level): one for one in tuned or ()}
    for where, group in design.split(design.table.reporting, keys):
        arms = dict(design.by_level(group))
        for a, b in pairs:
            if a not in arms or b not in arms:
                continue
            if tuned is None:
                yield TwoArms(where, (a, b), (arms[a], arms[b]), (None, None))
                continue
            at_a, at_b = (rates.get((*setting_of(where), level)) for level in (a, b))
            if at_a and at_b:
                arm_a, arm_b = (arms[at.level][arms[at.level][LEARNING_RATE] == at.rate] for at in (at_a, at_b))
                yield TwoArms(where, (a, b), (arm_a, arm_b), (at_a, at_b))


def _compare_arms(arms: TwoArms, measure: str) -> Contrast:
    values_a, values_b = pair_by_seed(*(_by_seed(trials, measure) for trials in arms.trials))
    side_a, side_b = (
        Side(level, count_outcomes(trials), tuned)
        for level, trials, tuned in zip(arms.levels, arms.trials, arms.tuned, strict=True)
    )
    return Contrast(arms.where, (side_a, side_b), measure, values_a - values_b, _p_success(*arms.trials))


def _by_seed(trials: pd.DataFrame, measure: str) -> pd.Series[float]:
    """The measure by seed, over the trials for which it counts; see `Contrast`."""
    if measure not in trials:
        return pd.Series(dtype=float)
    counts = trials[measure].notna().to_numpy()
    if measure.partition("/")[0] in {"train", "val", "test"}:
        counts = counts & succeeded(trials).to_numpy()
    paired = trials[counts]
    return pd.Series(paired[measure].to_numpy(dtype=float), index=paired["seed"].to_numpy(), dtype=float)


def _p_success(arm_a: pd.DataFrame, arm_b: pd.DataFrame) -> float:
    a, b = (dict(zip(arm["seed"], succeeded(arm), strict=True)) for arm in map(_ended, (arm_a, arm_b)))
    both = a.keys() & b.keys()
    only_a, only_b = (sum(one[seed] and not other[seed] for seed in both) for one, other in ((a, b), (b, a)))
    return mcnemar_p(only_a, only_b) if both else math.nan


def _ended(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["status"].isin(["finished", "diverged"])]


def _check(design: Design, measure: str, pairs: Sequence[tuple[str, str]]) -> None:
    design.check_levels(*(level for pair in pairs for level in pair))
    if measure.startswith(tuple(key(0).partition("/")[0] + "/" for key in (names.steps_to, names.examples_to))):
        raise ValueError(
            f"{measure} is empty where the target was missed; "
            "compare steps with bnbench.analysis.Analysis(table).contrast_steps"
        )
    trials = design.table.trials
    if measure != names.TEST_ACC and measure not in trials:
        measured = ", ".join(metric_columns(trials))
        raise ValueError(f"{measure} was not measured in this sweep; it has {measured}")
