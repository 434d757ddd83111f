"""The first sentences of a report on a sweep some of whose trials are not trained yet."""

from __future__ import annotations

import shlex

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
