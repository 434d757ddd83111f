"""Whether a difference of two levels survives the choices that another analyst might have made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bnbench.analysis.compare import compare_levels
from bnbench.analysis.contrast import Contrast
from bnbench.analysis.design import LEARNING_RATE, Design, setting_of
from bnbench.analysis.intervals import Interval
from bnbench.analysis.paired_arms import paired_arms
from bnbench.analysis.significance import ALPHA, holm, seeds_suffice
from bnbench.analysis.steps import StepsContrast, TargetSteps, contrast_steps
from bnbench.analysis.tuning import TunedRate
from bnbench.analysis.verdict import Answer, better_level
from bnbench.record import names
from bnbench.record.sweep_table import SweepTable

ACCURACIES = (
    names.TEST_ACC,
    names.VAL_ACC_FINAL,
    names.VAL_ACC,  # only of sweeps recorded before VAL_ACC_FINAL existed
    names.VAL_ACC_BATCH,
    names.ACC_BEST,
)
"""The measures of accuracy that an analyst might choose."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One way to compare two levels in one stratum, and what came of it.

    Attributes:
        where: The stratum, without the learning rate.
        a, b: The levels.
        measure: One of `ACCURACIES`, or the steps to a target.
        target: The validation accuracy to reach; None where the measure is an accuracy.
        sustained: Whether the target had to hold from its hit to the end.
        rates: "best" if each level is at its tuned learning rate; else the learning rate of both levels, or None where
            it does not vary.
        advantage: How much better a is than b, positive where a is better, in fractions of accuracy or log steps.
        successes: For a and for b, the trials that succeeded or reached the target and the number that could; None
            where such counts do not decide. Where they do, `advantage` has no interval.
        p: The p value, after Holm's correction in its family, or Bonferroni's where counts decide; not corrected where
            `family` is 0.
        family: The number of comparisons that it is corrected for.
        answer: Which level is better by this choice.
        holds: Whether the answer is that of the stratum's main choice, and not "unclear".
    """

    where: dict[str, Any]
    a: str
    b: str
    measure: str
    target: float | None
    sustained: bool
    rates: float | Literal["best"] | None
    advantage: Interval
    successes: tuple[tuple[int, int], tuple[int, int]] | None
    p: float
    family: int
    answer: Answer
    holds: bool = False


class Robustness:
    """Differences of levels under every defensible choice, each with whether the answer is the same.

    Choices differ in the learning rates (each level's best, or one for both) and in the measure: accuracy on the test
    images, on the validation images at the last or the best evaluation, or under the batch's own statistics (for a
    level without any, its only accuracy); or steps to each target, until its first hit or until it holds. The answer
    to hold is that of the main choice of a stratum (without the learning rate): test accuracy at the best learning
    rates if there are tuning seeds, or else at the learning rate with the median difference.

    Every choice is judged by the rules of the sweep's conclusion, see `better_level`. Where trials failed, their
    successes stand in place of every accuracy, and where misses leave no ratio of steps, the trials that reached the
    target. Where the sweep file names its contrasts, each choice is corrected for all of them in all strata, as the
    main analysis is: another analyst would have done so too. Where it names none, nothing is corrected.

    Args:
        design: The sweep.
        tuned: The learning rate that each level's tuning seeds chose.
        steps: The steps to targets of its trials.
    """

    def __init__(self, design: Design, tuned: Sequence[TunedRate], steps: TargetSteps) -> None:
        self._design, self._tuned, self._steps = Design(_with_last_accuracies(design.table)), tuned, steps
        self._made: dict[tuple[tuple[str, str], ...], list[Choice]] = {}

    def choices(self, a: str, b: str) -> list[list[Choice]]:
        """The difference a - b by every choice, stratum by stratum, the main choice of each first.

        Raises:
            ValueError: If the sweep has no such level.
        """
        self._design.check_levels(a, b)
        listed = self._design.pairs if self._design.table.record.asked.contrasts else []
        turned = tuple((a, b) if pair == (b, a) else pair for pair in listed)
        named = (a, b) in turned
        strata: dict[tuple[Any, ...], list[Choice]] = {}
        for choice in self._every_choice(turned if named else ((a, b),), named):
            if (choice.a, choice.b) == (a, b):
                strata.setdefault(setting_of(choice.where), []).append(choice)
        return [_held(_main_first(choices)) for choices in strata.values()]

    def _every_choice(self, pairs: tuple[tuple[str, str], ...], corrected: bool) -> list[Choice]:
        """The results by choice, stratum and pair; each choice is corrected for all pairs in all strata."""
        if pairs not in self._made:  # a pair's result depends on all the pairs that are corrected for
            self._made[pairs] = [
                choice for tuned in (self._tuned, None) for choice in self._at_rates(tuned, pairs, corrected)
            ]
        return self._made[pairs]

    def _at_rates(
        self, tuned: Sequence[TunedRate] | None, pairs: tuple[tuple[str, str], ...], corrected: bool
    ) -> Iterator[Choice]:
        for measure in ACCURACIES:
            if measure in self._design.table.trials or measure == names.TEST_ACC:  # no column if none finished
                compared = compare_levels(self._design, measure, tuned, pairs)
                for one in _in_family([one for one in compared if (one.a, one.b) in pairs], corrected):
                    if measure == names.TEST_ACC or not one.descriptive:  # success is the same by any accuracy
                        yield _by_accuracy(one, tuned is not None)
        arms = [*paired_arms(self._design, tuned, pairs)]
        for target in self._design.targets:
            for sustained in (False, True):
                steps = contrast_steps(arms, self._steps, target, sustained=sustained)
                adjusted = holm([one.comparison.p for one in steps])
                for step, p in zip(steps, adjusted, strict=True):
                    family = len(steps) if corrected else 0
                    yield _by_steps(step, tuned is not None, family, p if corrected else step.comparison.p)


def _with_last_accuracies(table: SweepTable) -> SweepTable:
    """The table with each trial's last validation accuracies added that only its curves have, named as the curves are.

    A trial without an accuracy under batch statistics gets its plain one, on the same images, in its place.
    """
    if names.VAL_ACC not in table.curves:
        return table
    last = table.curves.sort_values("step", kind="stable").groupby("key")
    accuracy = table.trials["key"].map(last[names.VAL_ACC].last())
    columns = {} if names.VAL_ACC_FINAL in table.trials else {names.VAL_ACC: accuracy}
    if names.VAL_ACC_BATCH in table.curves and table.curves[names.VAL_ACC_BATCH].notna().any():
        columns[names.VAL_ACC_BATCH] = table.trials["key"].map(last[names.VAL_ACC_BATCH].last()).fillna(accuracy)
    return replace(table, trials=table.trials.assign(**columns))


def _in_family(contrasts: Sequence[Contrast], corrected: bool) -> Iterator[Contrast]:
    for one, adjusted in zip(contrasts, holm([one.p for one in contrasts]), strict=True):
        yield replace(one, family=len(contrasts), adjusted_p=adjusted) if corrected else replace(one, family=0)


def _by_accuracy(contrast: Contrast, best: bool) -> Choice:
    if not contrast.descriptive:
        advantage, successes, p = contrast.interval, None, contrast.adjusted_p if contrast.primary else contrast.p
    else:
        (hits_a, of_a), (hits_b, of_b) = successes = contrast.successes
        share = hits_a / of_a - hits_b / of_b if of_a and of_b else math.nan
        advantage, p = Interval(min(of_a, of_b), share, None, None), _bonferroni(contrast.p_mcnemar, contrast.family)
    return Choice(
        **_placed(contrast, best),
        measure=contrast.measure,
        target=None,
        sustained=False,
        advantage=advantage,
        successes=successes,
        p=p,
        family=contrast.family,
        answer=better_level(contrast),
    )


def _by_steps(contrast: StepsContrast, best: bool, family: int, p: float) -> Choice:
    compared, firm, successes = contrast.comparison, not contrast.at_edge, None
    leads: Answer = "unclear"
    if compared.ratio is None:
        successes = ((compared.reached_a, compared.n), (compared.reached_b, compared.n))
        advantage, p = Interval(compared.n, math.nan, None, None), _bonferroni(compared.p_mcnemar, family)
        leads = "a" if compared.reached_a > compared.reached_b else "b"
    else:
        advantage = _faster(compared.ratio)
        firm = firm and seeds_suffice(advantage.n, max(1, family), ALPHA)
        if advantage.low is not None and advantage.high is not None:
            leads = "a" if advantage.low > 0 else "b" if advantage.high < 0 else "unclear"
    return Choice(
        **_placed(contrast, best),
        measure=names.steps_to(contrast.target),
        target=contrast.target,
        sustained=contrast.sustained,
        advantage=advantage,
        successes=successes,
        p=p,
        family=family,
        answer=leads if p <= ALPHA and firm else "unclear",
    )


def _placed(contrast: Contrast | StepsContrast, best: bool) -> dict[str, Any]:
    """Where a choice was made, of which levels, and at which learning rates."""
    where = {key: value for key, value in contrast.where.items() if key != LEARNING_RATE}
    return {
        "where": where,
        "a": contrast.a,
        "b": contrast.b,
        "rates": "best" if best else contrast.where.get(LEARNING_RATE),
    }


def _bonferroni(p: float, family: int) -> float:
    return p if math.isnan(p) else min(1.0, p * max(1, family))


def _faster(ratio: Interval) -> Interval:
    """How much faster a is than b, in log steps, from the ratio of steps a / b."""
    low, high = (None if bound is None else _minus_log(bound) for bound in (ratio.high, ratio.low))
    return Interval(ratio.n, _minus_log(ratio.mean), low, high)


def _minus_log(ratio: float) -> float:
    return -math.log(ratio) if ratio else math.inf


def _main_first(choices: Sequence[Choice]) -> list[Choice]:
    accuracies = [choice for choice in choices if choice.measure == names.TEST_ACC]
    best = [choice for choice in accuracies if choice.rates == "best"]
    means = [choice for choice in accuracies if not math.isnan(choice.advantage.mean)] or accuracies
    ordered = sorted(means, key=lambda choice: choice.advantage.mean)
    main = best[0] if best else ordered[(len(ordered) - 1) // 2]
    return [main, *(choice for choice in choices if choice is not main)]


def _held(choices: Sequence[Choice]) -> list[Choice]:
    answer = choices[0].answer
    return [replace(choice, holds=choice.answer == answer != "unclear") for choice in choices]
