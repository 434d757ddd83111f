"""The first sentences of a report on a sweep some of whose trials are not trained yet."""

from __future__ import annotations

import shlex
from datetime import datetime

from bnbench.analysis import Analysis
from bnbench.record.planned_trial import MISSING
from bnbench.record.sweep_table import SweepTable
from bnbench.report.number_words import count


def trials_done(table: SweepTable) -> str:
    """How many of a sweep's trials are done."""
    status = table.trials["status"]
    failed = int((status == "failed").sum())
    done = int((status != MISSING).sum()) - failed
    errors = f", {count(failed, 'trial')} ended in an error" if failed else ""
    return f"{done} of {count(len(status), 'trial')} done{errors}"


def running(analysis: Analysis, as_of: datetime) -> str:
    """How many trials of a sweep were done that is being trained, and what that means for the rest of the report."""
    return (
        f"The sweep was running at {as_of:%Y-%m-%d %H:%M} UTC, with {trials_done(analysis.table)}; what this page says "
        "may change. It is written anew every few minutes and reloads itself. If that time is long past, the sweep was "
        f"interrupted; to go on: {shlex.join(analysis.table.record.asked.command)}"
    )


def unfinished(analysis: Analysis) -> str:
    """How many trials are done, and what that means for the rest of the report; empty where all are."""
    if not analysis.unfinished:
        return ""
    table = analysis.table
    claims = " No claim is judged before all are." if table.record.asked.claims else ""
    return (
        f"{trials_done(table)}: the sweep is unfinished. Only trials that are there "
        "are compared, in the pairs that are complete, and what they say may change. The others are not trained yet; "
        f"they have not failed.{claims} To go on: {shlex.join(table.record.asked.command)}"
    )
