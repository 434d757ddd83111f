"""Two levels compared pair by pair: what a sweep's contrasts estimate, and what they may claim together.

False positives were measured on 2,000 made-up sweeps without an effect, each with three contrasts against one shared
arm and ten seeds (tests/analysis/test_false_positives.py). At matched learning rates 4.7 % of the comparisons are
significant at .05, and at each level's best, chosen on three other seeds, 4.9 %. After Holm 4.9 and 5.0 % of the sweeps
claim anything; without it 12.3 and 12.6 % would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from bnbench.analysis.contrast import Contrast, Side
from bnbench.analysis.design import LEARNING_RATE, Design
from bnbench.analysis.intervals import pair_by_seed
from bnbench.analysis.outcomes import count_outcomes, succeeded
from bnbench.analysis.paired_arms import TwoArms, paired_arms
from bnbench.analysis.sequential import SequentialDesign, paired_outcomes, settle
from bnbench.analysis.significance import holm, mcnemar_p
from bnbench.analysis.tuning import TunedRate
from bnbench.record import names
from bnbench.record.columns import metric_columns

Rates = Literal["matched", "best"]
"""Whether two levels are compared at equal learning rates, or each at the one its tuning seeds chose."""


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
    family = [i for i, one in enumerate(arms) if frozenset(one.levels) in asked_pairs and _can_be_settled(one)]
    looks = SequentialDesign(tuple(asked.looks))
    contrasts = [_compare_arms(one, names.TEST_ACC) for one in arms]
    for i, settlement in zip(
        family, settle(looks, [paired_outcomes(arms[i], asked.margin) for i in family]), strict=True
    ):
        if settlement.pairs:
            contrasts[i] = _compare_arms(arms[i].first(settlement.pairs), names.TEST_ACC)
        contrasts[i] = replace(contrasts[i], family=len(family), settlement=settlement, margin=asked.margin)
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
