"""Counts for `status` how many of a sweep's trials are done, running, failed and to do, by arm."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from bnbench.record.planned_trial import MISSING
from bnbench.sweep.planning.describe import count, duration
from bnbench.sweep.running.job import progress_files, read_progress
from bnbench.tracking import Sign, Standing, TrialState

_COLUMNS = ("done", "running", "failed", "to do")
_MOST_FAILURES = 10
_WORDS = {
    "running": "running",
    "silent": "is not heard of any more",
    "finished": "finished",
    "failed": "ended, with trials that failed",
    "killed": "was ended before it was done",
}


def running_keys(sweep_dir: Path) -> set[str]:
    """The trials in packs that workers have begun, as far as their progress can be seen from here."""
    return {key for file in progress_files(sweep_dir) for key in read_progress(file).keys}


def describe_status(standing: Standing, running: Collection[str], waiting: Mapping[str, str], sync: str) -> str:
    """The lines to print.

    Args:
        standing: The sweep as recorded.
        running: Keys of the trials that are being trained, or were when the sweep was ended.
        waiting: The status of each trial whose result has not been recorded yet, by key.
        sync: The command that records them.
    """
    record = standing.record
    total = dict.fromkeys(_COLUMNS, 0)
    rows: dict[str, dict[str, int]] = {}
    failed = []
    for trial in standing.trials:
        column = _column(trial, standing, running, waiting)
        row = rows.setdefault(trial.arm, dict.fromkeys(_COLUMNS, 0))
        row[column] += 1
        total[column] += 1
        if column == "failed":
            failed.append(trial)
    width = max(len("all"), *(len(label) for label in rows), 0)
    where = f" {_where(standing.running.sign)}" if standing.running else ""
    lines = [f"{record.title}: {_WORDS[standing.state]}{where}; started {record.asked.created}"]
    lines.append(" " * width + "".join(f"  {name:>7}" for name in _COLUMNS))
    shown = [*rows.items(), *([("all", total)] if len(rows) > 1 else [])]
    lines += [f"{label:<{width}}" + "".join(f"  {row[name] or '-':>7}" for name in _COLUMNS) for label, row in shown]
    for trial in failed[:_MOST_FAILURES]:
        lines.append(f"failed: {trial.arm} seed={trial.seed}: {(trial.reason.splitlines() or ['no reason'])[-1]}")
    if len(failed) > _MOST_FAILURES:
        lines.append(f"and {len(failed) - _MOST_FAILURES} more")
    if waiting:
        lines.append(f"{count(len(waiting), 'result')} not yet in the tracking store; `{sync}` delivers")
    lines += _others(standing)
    if standing.state != "running" and (total["to do"] or total["failed"]):
        lines.append(f"go on with: {shlex.join(record.asked.command)}")
    return "\n".join(lines)


def _where(sign: Sign) -> str:
    """Where a sweep runs, and when it was last heard of."""
    if sign.here:
        return "on this host"
    if sign.last is None:
        return f"on host {sign.host}, by a bnbench that gives no sign of life"
    last = f"{duration(max(sign.seconds, 0))} ago" if sign.is_fresh else f"{sign.last.isoformat()} by the clock there"
    return f"on host {sign.host}, last heard of {last}"


def _others(standing: Standing) -> list[str]:
    """The other sweeps that are running, and what this one leaves to them."""
    open_keys = {trial.key for trial in standing.trials if trial.status in (MISSING, "failed")}
    lines = []
    for other in standing.others:
        word = "running" if other.sign.is_fresh else "silent"
        lines.append(f"{word} too: {other.title}, {_where(other.sign)}")
        left = len(open_keys & other.keys)
        if left and standing.running:
            does = "leaves" if standing.running.keys else "only waits for"
            lines[-1] += f"; {standing.record.title} {does} {count(left, 'trial')} that it trains"
    return lines


def _column(trial: TrialState, standing: Standing, running: Collection[str], waiting: Mapping[str, str]) -> str:
    status = trial.status if trial.status not in (MISSING, "failed") else waiting.get(trial.key, trial.status)
    if status not in (MISSING, "failed"):
        return "done"
    if standing.state == "running" and trial.key in running and trial.key not in waiting:
        return "running"
    return "failed" if status == "failed" else "to do"
