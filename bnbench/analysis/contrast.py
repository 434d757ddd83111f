"""The paired differences of two levels in one setting, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from bnbench.analysis.intervals import (
    Interval,
    are_equal,
    bootstrap_t_interval,
    mean_interval,
    skewness,
)
from bnbench.analysis.outcomes import Outcomes
from bnbench.analysis.power import detectable_difference
from bnbench.analysis.sequential import Settlement
from bnbench.analysis.significance import ALPHA, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.tuning import TunedRate
from bnbench.record import names

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
