"""Checks that every trial that a sweep trained has a result, and names those that have none."""

from __future__ import annotations

from collections.abc import Collection

from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_table import SweepTable
from bnbench.sweep.planning.describe import count
from bnbench.sweep.running.failure import SweepFailedError

_LONGEST_LINE = 300


def check_outcome(table: SweepTable, trained: Collection[str]) -> None:
    """See that every trained trial has a result.

    Args:
        table: The sweep as recorded.
        trained: Keys of the trials that had to be trained.

    Raises:
        SweepFailedError: If some failed, naming each with the last line of its traceback; or if some left nothing.
    """
    trials = table.trials[table.trials["key"].isin(set(trained))]
    failed = trials[trials["status"] == "failed"]
    if len(failed):
        shown = [key for key in [*table.record.asked.varied, "seed"] if key in trials]
        lines = []
        for _, row in failed.iterrows():
            name = " ".join(f"{key}={row[key]}" for key in dict.fromkeys(shown))
            lines.append(f"{name}: {str(row['reason']).splitlines()[-1][:_LONGEST_LINE]}")
        raise SweepFailedError("\n".join([f"{count(len(failed), 'trial')} failed:", *lines]))
    lost = int((trials["status"] == MISSING).sum())
    if lost:
        raise SweepFailedError(f"{count(lost, 'trial')} left no result; the same command trains what is missing")
