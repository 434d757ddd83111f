"""Each level's own best learning rate, chosen on seeds that are not reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnbench.analysis.design import LEARNING_RATE, Design
from bnbench.analysis.outcomes import succeeded
from bnbench.record import names
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_table import SweepTable


@dataclass(frozen=True, eq=False)
class TunedRate:
    """The learning rate that a level's tuning seeds chose in one stratum.

    Attributes:
        where: The stratum, without the learning rate.
        level: The level's name.
        rate: The learning rate.
        at_edge: Whether it is the smallest or largest tried, so that the best may lie beyond; False where no trial
            succeeded, for there one rate is as good as another.
    """

    where: dict[str, Any]
    level: str
    rate: float
    at_edge: bool


def choose_rates(design: Design) -> list[TunedRate]:
    """For each stratum (without the learning rate) and level: the learning rate that its tuning seeds chose.

    It has the highest mean validation accuracy after the last step, on all validation images, over finished tuning
    trials. For a sweep recorded before that was measured, it has the highest mean of the best accuracy on the curve,
    whose points may be on fewer images; see `tuning_measure`. A learning rate at which more tuning trials
    finished comes first, whatever the accuracy of those that survived elsewhere. Reporting seeds have no say:
    choosing and reporting on the same seeds flatters the choice. Nothing is chosen before all of a level's tuning
    trials are trained, for one still to be trained has not failed.

    Returns:
        The rates chosen: none without tuning seeds or a grid of learning rates, and none for a level of which no tuning
        trial finished or one is still to be trained.
    """
    table = design.table
    tuning = table.trials[table.trials["tuning"].astype(bool)]
    if LEARNING_RATE not in design.strata or tuning.empty:
        return []
    measure, chosen = tuning_measure(table), []
    for where, group in design.split(tuning, design.conditions):
        for level, trials in design.by_level(group):
            finished = trials[trials["status"] == "finished"]
            if finished.empty or (trials["status"] == MISSING).any():
                continue
            scores = finished.groupby(LEARNING_RATE)[measure].agg(["count", "mean"])
            best = scores.sort_values(["count", "mean"], ascending=False, kind="stable").index[0]
            at_end = best in {trials[LEARNING_RATE].min(), trials[LEARNING_RATE].max()}
            chosen.append(
                TunedRate(
                    where=where,
                    level=level,
                    rate=best,
                    at_edge=bool(at_end and succeeded(finished).any()),
                )
            )
    return chosen


def tuning_measure(table: SweepTable) -> str:
    """The metric that learning rates are chosen by; no sweep mixes the two, as a trial's key depends on it."""
    return names.VAL_ACC_FINAL if names.VAL_ACC_FINAL in table.trials else names.ACC_BEST
