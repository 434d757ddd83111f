"""Each level's own best learning rate, chosen on seeds that are not reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bnbench import names
from bnbench.analysis.summary import compare_arms, contrasts, split_by
from bnbench.analysis.table import level_labels, levels, strata
from bnbench.table import SweepTable

__all__ = ["LEARNING_RATE", "tuned_differences", "tuned_learning_rates"]

LEARNING_RATE = "optimizer.lr"


def tuned_learning_rates(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and level: the one its tuning seeds chose.

    The one with the highest mean of the best validation accuracy over finished tuning trials. A learning
    rate at which more tuning trials finished comes first, whatever the accuracy of those that survived
    elsewhere. Reporting seeds have no say: choosing and reporting on the same seeds flatters the choice.

    Returns:
        The strata's keys, `level`, `optimizer.lr`, `tuning_seeds` finished there, `at_edge`: it is the
        grid's smallest or largest, so the best may lie beyond. Empty without tuning seeds or a grid of
        learning rates; a level of which no tuning trial finished has no row.
    """
    tuning = table.trials[table.trials["tuning"].astype(bool)]
    if LEARNING_RATE not in strata(table) or tuning.empty:
        return pd.DataFrame()
    labels = level_labels(table)
    rows = []
    for values, group in split_by(table, tuning, _conditions(table)):
        for level in levels(table):
            trials = group[labels.loc[group.index] == level]
            finished = trials[trials["status"] == "finished"]
            if finished.empty:
                continue
            scores = finished.groupby(LEARNING_RATE)[names.ACC_BEST].agg(["count", "mean"])
            best = scores.sort_values(["count", "mean"], ascending=False, kind="stable").index[0]
            at_edge = bool(best in {trials[LEARNING_RATE].min(), trials[LEARNING_RATE].max()})
            seeds = int(scores.loc[best, "count"])
            rows.append({**values, "level": level, LEARNING_RATE: best, "tuning_seeds": seeds, "at_edge": at_edge})
    return pd.DataFrame(rows)


def tuned_differences(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and contrast, each level at its own learning rate.

    Returns:
        The strata's keys, `a`, `b`, `lr_a`, `lr_b`, `at_edge_a`, `at_edge_b` and the columns of
        `compare_arms`, all over the reporting seeds. Empty where `tuned_learning_rates` is.
    """
    chosen = tuned_learning_rates(table)
    if chosen.empty:
        return pd.DataFrame()
    conditions, labels = _conditions(table), level_labels(table)
    best = {(*_values(row, conditions), row["level"]): row for row in chosen.to_dict("records")}
    rows = []
    for values, group in split_by(table, table.reporting, conditions):
        level = labels.loc[group.index]
        for a, b in contrasts(table):
            at_a, at_b = (best.get((*_values(values, conditions), x)) for x in (a, b))
            if at_a is None or at_b is None:
                continue
            lr_a, lr_b = at_a[LEARNING_RATE], at_b[LEARNING_RATE]
            arm_a = group[(level == a) & (group[LEARNING_RATE] == lr_a)]
            arm_b = group[(level == b) & (group[LEARNING_RATE] == lr_b)]
            choice = {"lr_a": lr_a, "lr_b": lr_b, "at_edge_a": at_a["at_edge"], "at_edge_b": at_b["at_edge"]}
            rows.append({**values, "a": a, "b": b, **choice, **compare_arms(arm_a, arm_b)})
    return pd.DataFrame(rows)


def _conditions(table: SweepTable) -> list[str]:
    return [key for key in strata(table) if key != LEARNING_RATE]


def _values(row: Mapping[Any, Any], keys: list[str]) -> tuple[Any, ...]:
    return tuple(None if pd.isna(row[key]) else row[key] for key in keys)
