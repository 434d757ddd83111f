"""Each level's own best learning rate, chosen on seeds that are not reported."""

from __future__ import annotations

import pandas as pd

from bnbench import names
from bnbench.analysis.outcomes import succeeded
from bnbench.analysis.summary import split_by
from bnbench.analysis.table import level_labels, levels, strata
from bnbench.table import SweepTable

__all__ = ["LEARNING_RATE", "tuned_learning_rates"]

LEARNING_RATE = "optimizer.lr"


def tuned_learning_rates(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and level: the one its tuning seeds chose.

    The one with the highest mean of the best validation accuracy over finished tuning trials. A learning
    rate at which more tuning trials finished comes first, whatever the accuracy of those that survived
    elsewhere. Reporting seeds have no say: choosing and reporting on the same seeds flatters the choice.

    Returns:
        The strata's keys, `level`, `optimizer.lr`, `tuning_seeds` finished there, `tried`: how many learning
        rates it was chosen from (a level that tried more has the better chances), `at_edge`: it is the smallest or
        largest, so the best may lie beyond (not where no trial succeeded: there, one is as good as another). Empty
        without tuning seeds or a grid of learning rates; a level of which no tuning trial finished has no row.
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
            at_end = best in {trials[LEARNING_RATE].min(), trials[LEARNING_RATE].max()}
            rows.append(
                {
                    **values,
                    "level": level,
                    LEARNING_RATE: best,
                    "tuning_seeds": int(scores.loc[best, "count"]),
                    "tried": trials[LEARNING_RATE].nunique(),
                    "at_edge": bool(at_end and succeeded(finished).any()),
                }
            )
    return pd.DataFrame(rows)


def _conditions(table: SweepTable) -> list[str]:
    return [key for key in strata(table) if key != LEARNING_RATE]
