"""Two levels compared pair by pair: what a sweep's contrasts estimate, and what they may claim together.

Measured on 2,000 made-up sweeps without an effect, three contrasts with one arm each and ten seeds
(tests/analysis/test_false_positives.py): of the comparisons at matched learning rates 4.7 % are significant at .05, of
those at each level's best, chosen on three other seeds, 4.9 %; of the sweeps 4.9 and 5.0 % claim anything after Holm,
and 12.3 and 12.6 % would without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from bnbench.analysis.intervals import (
    Interval,
    are_equal,
    bootstrap_t_interval,
    mean_interval,
    pair_by_seed,
    skewness,
)
from bnbench.analysis.levels import level_labels, levels, strata
from bnbench.analysis.outcomes import count_outcomes, succeeded
from bnbench.analysis.power import detectable_difference
from bnbench.analysis.significance import ALPHA, holm, mcnemar_p, paired_t_p, seeds_suffice, sign_flip_p
from bnbench.analysis.summary import contrasts, split_by
from bnbench.analysis.tuning import LEARNING_RATE, tuned_learning_rates
from bnbench.record import names
from bnbench.record.columns import metric_columns
from bnbench.record.sweep_table import SweepTable

Rates = Literal["matched", "best"]
"""Whether two levels are compared at equal learning rates, or each at the one its tuning seeds chose."""

Answer = Literal["a", "b", "unclear"]
"""Which of two levels is better, as far as a sweep can tell."""

_SKEWED = 1.0
_COUNTED = ("planned", "missing", "finished", "diverged", "collapsed", "undefined")


@dataclass(frozen=True, eq=False)
class Contrast:
    """The paired differences a - b of one measure in one stratum, and what follows from them.

    Of a measure of the trained network (`train/`, `val/`, `test/`), the pairs are those of which both trials
    succeeded; of any other, such as a gradient's size, all that have both values.

    Attributes:
        where: The stratum.
        a, b: The levels.
        measure: The metric's key.
        differences: By seed, ascending.
        counts: `planned_a`, `missing_a` (not trained yet), `finished_a`, `diverged_a`, `collapsed_a`, `undefined_a`,
            and the same of b.
        p_mcnemar: Exact p that both arms' trials are equally likely to succeed; NaN without a pair that ended.
        chosen: `lr_a`, `lr_b`, `at_edge_a`, `at_edge_b` where each level is at its own learning rate; else empty.
        family: How many primary comparisons are judged together; 0 for an exploratory one.
        adjusted_p: Holm's p in that family; NaN for an exploratory one.
    """

    where: dict[str, Any]
    a: str
    b: str
    measure: str
    differences: pd.Series[float]
    counts: dict[str, int]
    p_mcnemar: float
    chosen: dict[str, Any]
    family: int = 0
    adjusted_p: float = math.nan

    @property
    def primary(self) -> bool:
        """Whether the sweep file named this contrast before the runs."""
        return self.family > 0

    @property
    def descriptive(self) -> bool:
        """Whether a trial of either arm failed: then success rates lead, and the difference is among survivors."""
        return any(self.counts[f"{outcome}_{side}"] for outcome in ("diverged", "collapsed") for side in "ab")

    @property
    def successes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of a and of b, how many trials finished and did not collapse, and of how many that ended."""
        of_a, of_b = (
            (self.counts[f"finished_{side}"] - self.counts[f"collapsed_{side}"], self._ended(side)) for side in "ab"
        )
        return of_a, of_b

    def _ended(self, side: str) -> int:
        return self.counts[f"finished_{side}"] + self.counts[f"diverged_{side}"]

    @property
    def answer(self) -> Answer:
        """Which level is better, as far as a conclusion may go.

        Where a trial of either arm failed, their successes decide, by the exact McNemar test; or else the interval.
        Either must survive the correction for the family, Bonferroni's for the successes. Nothing is answered at a
        learning rate at its grid's edge, nor by so few pairs that chance could have given them all one sign.
        """
        if any(self.chosen.get(f"at_edge_{side}", False) for side in "ab"):
            return "unclear"
        if self.descriptive:
            (hits_a, of_a), (hits_b, of_b) = self.successes
            if not self.p_mcnemar * max(1, self.family) <= ALPHA:
                return "unclear"
            return "a" if hits_a * of_b > hits_b * of_a else "b"
        low, high = self.interval.low, self.interval.high
        corrected = not self.primary or self.adjusted_p <= ALPHA
        if low is None or high is None or not corrected or not self.seeds_suffice or low <= 0 <= high:
            return "unclear"
        return "a" if (low > 0) == (_better(self.measure) != "lower") else "b"

    @property
    def seeds_suffice(self) -> bool:
        """Whether so few pairs can be told from chance at all, by their signs, in a family of this size."""
        return seeds_suffice(len(self.differences), max(1, self.family), ALPHA)

    @cached_property
    def interval(self) -> Interval:
        """The mean difference and its 95 % paired t interval."""
        return self._cut(mean_interval(self.differences, 1 - ALPHA))

    @cached_property
    def family_interval(self) -> Interval:
        """The same with Bonferroni's level, which holds for all comparisons of the family at once."""
        return self._cut(mean_interval(self.differences, 1 - ALPHA / max(1, self.family)))

    @cached_property
    def skewness(self) -> float:
        """Of the differences; NaN for fewer than three."""
        return skewness(self.differences)

    @cached_property
    def bootstrap(self) -> Interval | None:
        """The bootstrap-t interval where the differences are skewed by more than 1; else None."""
        return self._cut(bootstrap_t_interval(self.differences, 1 - ALPHA)) if abs(self.skewness) > _SKEWED else None

    @cached_property
    def p(self) -> float:
        """Two-sided paired t."""
        return paired_t_p(self.differences)

    @cached_property
    def sign_flip_p(self) -> float:
        """Two-sided and exact; assumes symmetry alone."""
        return sign_flip_p(self.differences)

    @cached_property
    def detectable(self) -> float:
        """The true difference that so many pairs of this spread would have shown in 80 of 100 such sweeps.

        At the family's Bonferroni level, the strictest that Holm can ask for. NaN without an interval.
        """
        d = self.differences.to_numpy()
        if len(d) < 2 or are_equal(d):
            return math.nan
        return detectable_difference(float(d.std(ddof=1)), len(d), ALPHA / max(1, self.family))

    @property
    def row(self) -> dict[str, Any]:
        """The contrast as a row of `differences`; what does not exist is NaN."""
        return {
            **self.where,
            "a": self.a,
            "b": self.b,
            **self.chosen,
            "n": self.interval.n,
            "mean": self.interval.mean,
            **_bounds(self.interval),
            "p": self.p,
            "p_sign_flip": self.sign_flip_p,
            "p_holm": self.adjusted_p,
            "family": self.family,
            "primary": self.primary,
            "seeds_suffice": self.seeds_suffice,
            **_bounds(self.family_interval, "family_"),
            "skewness": self.skewness,
            **_bounds(self.bootstrap, "bootstrap_"),
            "detectable": self.detectable,
            **self.counts,
            "p_mcnemar": self.p_mcnemar,
            "descriptive": self.descriptive,
        }

    def _cut(self, interval: Interval) -> Interval:
        """Bounds end where no difference of fractions can lie, which costs no coverage."""
        if _unit(self.measure) != "fraction" or interval.low is None or interval.high is None:
            return interval
        return interval._replace(low=max(interval.low, -1.0), high=min(interval.high, 1.0))


def differences(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum and contrast: the paired difference of test accuracies, a - b.

    Returns:
        The strata's keys, `a`, `b`, then of `Contrast`: `n`, `mean`, `low`, `high` of its interval; `p`,
        `p_sign_flip`, `p_holm`; `family`, `primary`, `seeds_suffice`, `family_low`, `family_high`; `skewness`,
        `bootstrap_low`, `bootstrap_high`; `detectable`; the counts; `p_mcnemar`, `descriptive`. A stratum in which
        either level was not planned has no row.
    """
    return pd.DataFrame([one.row for one in compare_levels(table)])


def tuned_differences(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and contrast, each level at its own learning rate.

    Returns:
        The columns of `differences`, with those of `Contrast.chosen`. Empty where `tuned_learning_rates` is.
    """
    return pd.DataFrame([one.row for one in compare_levels(table, rates="best")])


def contrast(
    table: SweepTable, a: str, b: str, measure: str = names.TEST_ACC, *, rates: Rates = "matched"
) -> list[Contrast]:
    """The paired difference a - b in each stratum.

    Args:
        table: The sweep.
        a: A level, as `levels` names it.
        b: Another.
        measure: A metric key among the table's columns. Steps to a target are censored: `contrast_steps` compares them.
        rates: At equal learning rates, or each level at its own, which is empty without tuning seeds.

    Raises:
        ValueError: If the sweep has no such level or measure.
    """
    if measure != names.TEST_ACC or not table.record.asked.contrasts:  # exploratory: no family that others belong to
        _refuse_unknown(table, measure, [(a, b)])
        return _compared(table, measure, rates, [(a, b)])
    found = compare_levels(table, measure, rates, pairs=[(a, b)])
    return [one for one in found if (one.a, one.b) == (a, b)]


def compare_levels(
    table: SweepTable,
    measure: str = names.TEST_ACC,
    rates: Rates = "matched",
    pairs: Sequence[tuple[str, str]] = (),
) -> list[Contrast]:
    """Every contrast of the sweep in every stratum, corrected for their number.

    Holm's family is decided before the runs: the contrasts that the sweep file lists, of test accuracy, in all
    strata; those at matched learning rates are one family and those at each level's best another, for they answer
    two questions. Where the file lists none, and for any other measure, comparisons are exploratory: not corrected,
    and called so.

    Args:
        table: The sweep.
        measure: As in `contrast`.
        rates: As in `contrast`.
        pairs: Levels (a, b) to compare besides the sweep's own, or instead of the reverse of one.

    Raises:
        ValueError: If the sweep has no such level or measure.
    """
    _refuse_unknown(table, measure, pairs)
    reversed_pairs = {(b, a) for a, b in pairs}
    shown = [(b, a) if (a, b) in reversed_pairs else (a, b) for a, b in contrasts(table)]
    shown += [pair for pair in pairs if pair not in shown]
    listed = {frozenset(pair) for pair in contrasts(table)} if table.record.asked.contrasts else set()
    found = _compared(table, measure, rates, shown)
    primary = [i for i, one in enumerate(found) if measure == names.TEST_ACC and frozenset((one.a, one.b)) in listed]
    for i, adjusted in zip(primary, holm([found[i].p for i in primary]), strict=True):
        found[i] = replace(found[i], family=len(primary), adjusted_p=adjusted)
    return found


def _compared(table: SweepTable, measure: str, rates: Rates, pairs: Sequence[tuple[str, str]]) -> list[Contrast]:
    """Each pair of levels in each stratum, of no family yet."""
    return [
        compare_arms(arm_a, arm_b, measure, where=where, a=a, b=b, chosen=chosen)
        for where, a, b, chosen, arm_a, arm_b in paired_arms(table, rates, pairs)
    ]


def paired_arms(
    table: SweepTable, rates: Rates, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[dict[str, Any], str, str, dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """For each stratum and pair of levels: (where, a, b, chosen learning rates, trials of a, trials of b).

    A stratum in which either level was not planned, or has no learning rate to choose, is left out.
    """
    labels = level_labels(table)
    keys = strata(table) if rates == "matched" else [key for key in strata(table) if key != LEARNING_RATE]
    best = _chosen_rates(table, keys) if rates == "best" else {}
    for where, group in split_by(table, table.reporting, keys):
        arms = dict(iter(group.groupby(labels.loc[group.index], sort=False)))
        for a, b in pairs:
            if a not in arms or b not in arms:
                continue
            arm_a, arm_b, chosen = arms[a], arms[b], {}
            if rates == "best":
                at_a, at_b = (best.get((*_hashable(where, keys), level)) for level in (a, b))
                if at_a is None or at_b is None:
                    continue
                arm_a = arm_a[arm_a[LEARNING_RATE] == at_a[LEARNING_RATE]]
                arm_b = arm_b[arm_b[LEARNING_RATE] == at_b[LEARNING_RATE]]
                chosen = {
                    f"{name}_{side}": at[column]
                    for name, column in (("lr", LEARNING_RATE), ("at_edge", "at_edge"))
                    for side, at in (("a", at_a), ("b", at_b))
                }
            yield where, a, b, chosen, arm_a, arm_b


def compare_arms(
    arm_a: pd.DataFrame,
    arm_b: pd.DataFrame,
    measure: str = names.TEST_ACC,
    *,
    where: Mapping[str, Any],
    a: str,
    b: str,
    chosen: Mapping[str, Any],
) -> Contrast:
    """The contrast of two arms' trials, of no family yet."""
    values_a, values_b = pair_by_seed(_by_seed(arm_a, measure), _by_seed(arm_b, measure))
    counted = {side: count_outcomes(arm) for side, arm in (("a", arm_a), ("b", arm_b))}
    return Contrast(
        where=dict(where),
        a=a,
        b=b,
        measure=measure,
        differences=values_a - values_b,
        counts={f"{outcome}_{side}": counted[side][outcome] for side in "ab" for outcome in _COUNTED},
        p_mcnemar=_p_success(arm_a, arm_b),
        chosen=dict(chosen),
    )


def _chosen_rates(table: SweepTable, keys: list[str]) -> dict[tuple[Any, ...], dict[Any, Any]]:
    rows = tuned_learning_rates(table).to_dict("records")
    return {(*_hashable(row, keys), row["level"]): row for row in rows}


def _hashable(values: Mapping[Any, Any], keys: list[str]) -> tuple[Any, ...]:
    return tuple(None if pd.isna(values[key]) else values[key] for key in keys)


def _by_seed(trials: pd.DataFrame, measure: str) -> pd.Series[float]:
    """The measure by seed, of the trials of which it counts."""
    if measure not in trials:
        return pd.Series(dtype=float)
    counts = trials[measure].notna().to_numpy()
    if measure.partition("/")[0] in {"train", "val", "test"}:
        counts = counts & succeeded(trials).to_numpy()
    kept = trials[counts]
    return pd.Series(kept[measure].to_numpy(dtype=float), index=kept["seed"].to_numpy(), dtype=float)


def _p_success(arm_a: pd.DataFrame, arm_b: pd.DataFrame) -> float:
    a, b = (dict(zip(arm["seed"], succeeded(arm), strict=True)) for arm in map(_ended, (arm_a, arm_b)))
    both = a.keys() & b.keys()
    only_a, only_b = (sum(one[seed] and not other[seed] for seed in both) for one, other in ((a, b), (b, a)))
    return mcnemar_p(only_a, only_b) if both else math.nan


def _ended(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["status"].isin(["finished", "diverged"])]


def _bounds(interval: Interval | None, prefix: str = "") -> dict[str, float]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {f"{prefix}low": np.nan if low is None else low, f"{prefix}high": np.nan if high is None else high}


def _better(measure: str) -> str:
    try:
        return names.metric(measure).better
    except KeyError:
        return "neither"


def _unit(measure: str) -> str:
    try:
        return names.metric(measure).unit
    except KeyError:
        return ""


def _refuse_unknown(table: SweepTable, measure: str, pairs: Sequence[tuple[str, str]]) -> None:
    present = levels(table)
    for level in (level for pair in pairs for level in pair if level not in present):
        raise ValueError(f"level {level!r} is not in this sweep; it compares {', '.join(present)}")
    if measure.startswith(tuple(key(0).partition("/")[0] + "/" for key in (names.steps_to, names.examples_to))):
        raise ValueError(
            f"{measure} is empty where the target was missed; compare steps with bnbench.analysis.contrast_steps"
        )
    if measure != names.TEST_ACC and measure not in table.trials:
        measured = ", ".join(metric_columns(table.trials))
        raise ValueError(f"{measure} was not measured in this sweep; it has {measured}")
