"""How often each level's trials reach an accuracy, over all of a sweep's workloads."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bnbench import names
from bnbench.analysis.improvement import LEAST_WORKLOADS, performance_profile
from bnbench.analysis.outcomes import succeeded
from bnbench.analysis.summary import matching, split_by
from bnbench.analysis.table import level_labels, levels, strata
from bnbench.analysis.tuning import LEARNING_RATE, tuned_learning_rates
from bnbench.table import SweepTable

__all__ = ["accuracy_profiles"]


def accuracy_profiles(table: SweepTable) -> pd.DataFrame:
    """Each level's performance profile of test accuracy, at thresholds that all levels share.

    A workload is a stratum; where tuning seeds chose learning rates, a stratum without the learning rate, each level at
    its own. A trial that failed is below every threshold, as are all of a level that failed at every learning rate on
    its tuning seeds. Only workloads in which every level has trials that finished or diverged count.

    Returns:
        `level`, `threshold`, `share`, `low`, `high` as in `performance_profile`, and `workloads`, their number. Empty
        with fewer than four.
    """
    chosen = tuned_learning_rates(table)
    keys = [key for key in strata(table) if chosen.empty or key != LEARNING_RATE]
    scores: dict[str, dict[str, list[float]]] = {level: {} for level in levels(table)}
    labels = level_labels(table)
    for number, (where, group) in enumerate(split_by(table, table.reporting, keys)):
        found = {}
        for level in scores:
            trials = group[labels.loc[group.index] == level]
            ended = trials[trials["status"].isin(["finished", "diverged"])]
            score = pd.Series(np.where(succeeded(ended), ended[names.TEST_ACC], -np.inf), index=ended.index)
            if len(chosen):
                score = _at_own_rate(ended, score, matching(chosen[chosen["level"] == level], where))
            found[level] = score.tolist()
        if all(found.values()):
            for level, values in found.items():
                scores[level][str(number)] = values
    workloads = min((len(by_workload) for by_workload in scores.values()), default=0)
    if workloads < LEAST_WORKLOADS:
        return pd.DataFrame()
    every = np.unique([value for runs in scores.values() for values in runs.values() for value in values])
    at = every[np.isfinite(every)].tolist()
    return pd.concat(
        [performance_profile(runs, at).assign(level=level, workloads=workloads) for level, runs in scores.items()],
        ignore_index=True,
    )


def _at_own_rate(trials: pd.DataFrame, score: pd.Series[float], chosen: pd.DataFrame) -> pd.Series[float]:
    if chosen.empty:
        return pd.Series(-np.inf, index=trials["seed"].unique())
    own: pd.Series[bool] = trials[LEARNING_RATE] == chosen[LEARNING_RATE].iloc[0]
    return score[own]
