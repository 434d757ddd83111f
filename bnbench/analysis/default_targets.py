"""Default targets where none were set: shares of the best arm's gain, by a rule that looks at no difference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from bnbench.analysis.outcomes import largest_class
from bnbench.analysis.steps import TargetSteps
from bnbench.record import names
from bnbench.record.sweep_record import DefaultTargets
from bnbench.record.sweep_table import SweepTable

SHARES = (0.5, 0.9)
"""Where targets lie on the way from the share of the largest class to the best arm's validation accuracy."""

_SCOPE = ("data", "model")


def with_default_targets(table: SweepTable) -> SweepTable:
    """The table with targets for each data set and model whose trials had none, such as the user's own data.

    The rule is fixed before arms are compared and treats them alike: the targets lie 50 and 90 % of the way from the
    share of the largest class to the highest mean validation accuracy after the last step that any arm had, rounded
    down to a hundredth. The steps to them are read off the curves, and the targets are noted in
    `record.found_out.default_targets`. The table stays as it is where `training.targets=[]` asks for no targets, and
    where the sweep was recorded before the accuracy after the last step was.
    """
    trials = table.trials
    asked = table.record.asked.config.get("training", {}).get("targets")
    if asked == [] or names.VAL_ACC_FINAL not in trials or not {*_SCOPE} <= {*trials.columns}:
        return table
    given = [column for column in trials.columns if column.startswith(names.reached(0).partition("/")[0] + "/")]
    chosen: list[DefaultTargets] = []
    columns: dict[str, pd.Series[float]] = {}
    steps = TargetSteps(table)
    for (data, model), group in trials.groupby([*_SCOPE], sort=False):
        if group[given].notna().any(axis=None):
            continue
        best, chance = _best(table, group), float(largest_class(group).max())
        if math.isnan(best) or math.isnan(chance):
            continue
        targets = _targets(chance, best)
        chosen.append(DefaultTargets(str(data), str(model), chance, best, targets))
        for target in targets:
            _add(columns, table, group, target, steps.to_accuracy(target))
    if not chosen:
        return table
    known = replace(table.record.found_out, default_targets=chosen)
    return replace(table, record=replace(table.record, found_out=known), trials=trials.assign(**columns))


def _best(table: SweepTable, group: pd.DataFrame) -> float:
    """The highest of the arms' mean final validation accuracies, over finished reporting trials; NaN without any."""
    reported = group[(group["status"] == "finished") & ~group["tuning"].astype(bool)]
    keys = [key for key in table.record.asked.varied if key in group and key != "seed"]
    arms = reported.groupby(keys, dropna=False) if keys else reported.groupby(lambda _: 0)
    return float(arms[names.VAL_ACC_FINAL].mean().max())


def _targets(chance: float, best: float) -> list[float]:
    between = (math.floor(100 * (chance + share * (best - chance))) / 100 for share in SHARES)
    return [*dict.fromkeys(target for target in between if target > chance)]


def _add(
    columns: dict[str, pd.Series[float]],
    table: SweepTable,
    group: pd.DataFrame,
    target: float,
    first: pd.Series[float],
) -> None:
    steps = first.loc[group.index]
    ended = group["status"].isin(["finished", "diverged"])
    values = {
        names.reached(target): steps.notna().astype(float).where(ended),
        names.steps_to(target): steps.where(ended),
        names.examples_to(target): (steps * group["training.batch_size"].astype(float)).where(ended),
    }
    for key, numbers in values.items():
        column = columns.setdefault(key, pd.Series(np.nan, index=table.trials.index))
        column.loc[group.index] = numbers
