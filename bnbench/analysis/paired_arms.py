"""The two arms that a contrast compares, in each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bnbench.analysis.design import LEARNING_RATE, Design, setting_of
from bnbench.analysis.tuning import TunedRate


class TwoArms(NamedTuple):
    """The trials of two levels in one stratum, with their tuned rates; None for both at equal learning rates."""

    where: dict[str, Any]
    levels: tuple[str, str]
    trials: tuple[pd.DataFrame, pd.DataFrame]
    tuned: tuple[TunedRate | None, TunedRate | None]

    def first(self, pairs: int) -> TwoArms:
        """The same arms with the first so many of the seeds that both have, in ascending order."""
        a, b = self.trials
        seeds = sorted({*a["seed"]} & {*b["seed"]})[:pairs]
        return self._replace(trials=(a[a["seed"].isin(seeds)], b[b["seed"].isin(seeds)]))


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
