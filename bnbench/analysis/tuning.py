"""Each level's own best learning rate, chosen on seeds that are not reported."""

from __future__ import annotations

import pandas as pd

from bnbench.analysis.levels import level_labels, levels, strata
from bnbench.analysis.outcomes import succeeded
from bnbench.analysis.summary import split_by
from bnbench.record import names
from bnbench.record.sweep_table import MISSING, SweepTable

LEARNING_RATE = "optimizer.lr"


def tuned_learning_rates(table: SweepTable) -> pd.DataFrame:
    """One row for each stratum (without the learning rate) and level: the one its tuning seeds chose.

    The one with the highest mean validation accuracy after the last step, on all validation images, over finished
    tuning trials. Of a sweep recorded before that was measured, the highest mean of the best accuracy on the curve,
    whose points may be on fewer images: `tuning_measure` says which. A learning rate at which more tuning trials
    finished comes first, whatever the accuracy of those that survived elsewhere. Reporting seeds have no say:
    choosing and reporting on the same seeds flatters the choice. Nothing is chosen before all of a level's tuning
    trials are trained: one that is not has not failed.

    Returns:
        The strata's keys, `level`, `optimizer.lr`, `tuning_seeds` finished there, `tried`: how many learning
        rates it was chosen from (a level that tried more has the better chances), `at_edge`: it is the smallest or
        largest, so the best may lie beyond (not where no trial succeeded: there, one is as good as another). Empty
        without tuning seeds or a grid of learning rates; a level of which no tuning trial finished, or one is still
        to be trained, has no row.
    """
    tuning = table.trials[table.trials["tuning"].astype(bool)]
    if LEARNING_RATE not in strata(table) or tuning.empty:
        return pd.DataFrame()
    labels, measure = level_labels(table), tuning_measure(table)
    rows = []
    for values, group in split_by(table, tuning, _conditions(table)):
        for level in levels(table):
            trials = group[labels.loc[group.index] == level]
            finished = trials[trials["status"] == "finished"]
            if finished.empty or (trials["status"] == MISSING).any():
                continue
            scores = finished.groupby(LEARNING_RATE)[measure].agg(["count", "mean"])
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


def tuning_measure(table: SweepTable) -> str:
    """The metric that learning rates are chosen by; a trial's key sees to it that a sweep does not mix the two."""
    return names.VAL_ACC_FINAL if names.VAL_ACC_FINAL in table.trials else names.ACC_BEST


def _conditions(table: SweepTable) -> list[str]:
    return [key for key in strata(table) if key != LEARNING_RATE]
