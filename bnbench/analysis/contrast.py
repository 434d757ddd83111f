"""Two levels compared pair by pair: what a sweep's contrasts estimate, and what they may claim together.

False positives were measured on 2,000 made-up sweeps without an effect, each with three contrasts against one shared
arm and ten seeds (tests/analysis/test_false_positives.py). At matched learning rates 4.7 % of the comparisons are
significant at .05, and at each level's best, chosen on three other seeds, 4.9 %. After Holm 4.9 and 5.0 % of the sweeps
claim anything; without it 12.3 and 12.6 % would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandas as pd

from bnbench.analysis.design import LEARNING_RATE, Design
from bnbench.analysis.intervals import (
    Interval,
    are_equal,
    bootstrap_t_interval,
    mean_interval,
    pair_by_seed,
    skewness,
)
from bnbench.analysis.outcomes import Outcomes, count_outcomes, succeeded
from bnbench.analysis.paired_arms import TwoArms, paired_arms
from bnbench.analysis.power import detectable_difference
from bnbench.analysis.sequential import SequentialDesign, Settlement, paired_outcomes, settle
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
        adjusted_p: The p value after Holm's correction in that family; NaN for an exploratory contrast, and where there
            is a settlement.
        settlement: How the contrast stands, in a sweep that goes on until it is settled; it then is of the pairs that
            the settlement is of. Else None.
        margin: The smallest difference that matters; None where none was named.
    """

    where: dict[str, Any]
    sides: tuple[Side, Side]
    measure: str
    differences: pd.Series[float]
    p_mcnemar: float
    family: int = 0
    adjusted_p: float = math.nan
    settlement: Settlement | None = None
    margin: float | None = None

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
        """The mean difference and its 95 % paired t interval; of a settlement, those that allow for its looks."""
        return self._cut(self.settlement.estimate if self.settlement else mean_interval(self.differences, 1 - ALPHA))

    @cached_property
    def family_interval(self) -> Interval:
        """The mean difference and its paired t interval at Bonferroni's level, for all of the family at once.

        A settlement has no such interval.
        """
        if self.settlement:
            return _NONE
        return self._cut(mean_interval(self.differences, 1 - ALPHA / max(1, self.family)))

    @cached_property
    def skewness(self) -> float:
        """The skewness of the differences; NaN for fewer than three."""
        return skewness(self.differences)

    @cached_property
    def bootstrap(self) -> Interval | None:
        """The bootstrap-t interval where the differences are skewed by more than 1; else, or of a settlement, None."""
        if self.settlement:
            return None
        return self._cut(bootstrap_t_interval(self.differences, 1 - ALPHA)) if abs(self.skewness) > _SKEWED else None

    @cached_property
    def p(self) -> float:
        """The p value of the two-sided paired t test; NaN for a settlement, which is of several looks."""
        return math.nan if self.settlement else paired_t_p(self.differences)

    @cached_property
    def sign_flip_p(self) -> float:
        """The p value of the two-sided sign-flip test, which assumes only symmetric differences; NaN as for `p`."""
        return math.nan if self.settlement else sign_flip_p(self.differences)

    @cached_property
    def detectable(self) -> float:
        """The true difference that as many pairs with this spread would show in 80 of 100 such sweeps.

        It is tested at the family's Bonferroni level, the strictest that Holm can ask for. NaN without an interval, and
        for a settlement, which says how many seeds it would take.
        """
        d = self.differences.to_numpy()
        if len(d) < 2 or are_equal(d) or self.settlement:
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
            **self._settled_row,
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
    def _settled_row(self) -> dict[str, Any]:
        if self.settlement is None:
            return {}
        return {
            "state": str(self.settlement.state),
            "pairs": self.settlement.pairs,
            "seeds_needed": self.settlement.seeds,
            "margin": math.nan if self.margin is None else self.margin,
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
    arms = [*paired_arms(design, tuned, shown)]
    if measure == names.TEST_ACC and is_sequential(design, tuned):
        return _settled(design, arms)
    compared = [_compare_arms(one, measure) for one in arms]  # the family is set below
    primary = [i for i, one in enumerate(compared) if measure == names.TEST_ACC and frozenset((one.a, one.b)) in listed]
    for i, adjusted in zip(primary, holm([compared[i].p for i in primary]), strict=True):
        compared[i] = replace(compared[i], family=len(primary), adjusted_p=adjusted)
    return compared


def is_sequential(design: Design, tuned: Sequence[TunedRate] | None) -> bool:
    """Whether the sweep went on until its contrasts were settled, and these are the contrasts that it asked about.

    Where it tuned learning rates, those at tuned rates are, for it trained no others.
    """
    tunes = bool(design.table.trials["tuning"].any()) and LEARNING_RATE in design.strata
    return bool(design.table.record.asked.looks) and tunes == (tuned is not None)


def _settled(design: Design, arms: Sequence[TwoArms]) -> list[Contrast]:
    """The contrasts of a sequential design, as it has settled them.

    Its family is all that the sweep shows but what no number of seeds settles: a level that is undefined, or whose
    tuned learning rate is at the edge of its grid.
    """
    asked = design.table.record.asked
    asked_pairs = {frozenset(pair) for pair in design.pairs}
    family = [one for one in arms if frozenset(one.levels) in asked_pairs and _can_be_settled(one)]
    looks = SequentialDesign(tuple(asked.looks))
    settlements = iter(settle(looks, [paired_outcomes(one, asked.margin) for one in family]))
    contrasts = []
    for one in arms:
        if not any(one is member for member in family):
            contrasts.append(_compare_arms(one, names.TEST_ACC))
            continue
        settlement = next(settlements)
        first = one.first(settlement.pairs) if settlement.pairs else one
        contrast = _compare_arms(first, names.TEST_ACC)
        contrasts.append(replace(contrast, family=len(family), settlement=settlement, margin=asked.margin))
    return contrasts


def _can_be_settled(arms: TwoArms) -> bool:
    at_edge = any(tuned is not None and tuned.at_edge for tuned in arms.tuned)
    return not at_edge and all((trials["status"] != "undefined").any() for trials in arms.trials)


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
