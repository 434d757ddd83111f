"""How far a sweep is, by its trials: read without their numbers, so that it is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bnbench.record.sweep_record import SweepRecord
from bnbench.tracking.connect import Connection
from bnbench.tracking.heartbeat import DEAD_SECONDS, beaten_at
from bnbench.tracking.leases import Holder, running_sweeps
from bnbench.tracking.process_identity import host_of, is_of_this_host, was_killed
from bnbench.tracking.recorded import counting_runs, standing_of
from bnbench.tracking.sweep_runs import find_sweep, read_plan

State = Literal["running", "silent", "finished", "failed", "killed"]
""""silent": its run is open, and its heartbeat was not renewed for long."""


@dataclass(frozen=True)
class TrialState:
    """One planned trial.

    Attributes:
        arm: Its arm in a few words.
        status: One of `names.STATUSES`, or "missing".
        reused: Whether another sweep trained it.
    """

    key: str
    arm: str
    seed: int
    status: str
    reason: str
    reused: bool = False


@dataclass(frozen=True)
class Sign:
    """Where a sweep runs, and when it gave a sign of life.

    Attributes:
        host: Its host.
        here: Whether its process was looked up in this host's table, where it lives.
        last: When its heartbeat was last renewed, by the clock of its host; None where an older bnbench trains it.
        seconds: How long ago that was, by the clock of this host.
    """

    host: str
    here: bool
    last: datetime | None
    seconds: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the sweep lives, or may well live."""
        return self.here or self.last is None or abs(self.seconds) < DEAD_SECONDS


@dataclass(frozen=True)
class Running:
    """A sweep that is running, as far as can be seen from here.

    Attributes:
        title: Its name and id.
        sign: Where and when it was last heard of.
        keys: Of the trials that it trains, now or next.
    """

    title: str
    sign: Sign
    keys: frozenset[str]


@dataclass(frozen=True)
class Standing:
    """One sweep.

    Attributes:
        record: Its description.
        state: How its run stands; a run whose process is gone was killed, whatever it says.
        trials: In the planned order.
        running: Where it runs and what it trains; None if it has ended.
        others: The other sweeps of the store that are running.
    """

    record: SweepRecord
    state: State
    trials: list[TrialState]
    running: Running | None = None
    others: list[Running] = field(default_factory=list)


def read_standing(connection: Connection, sweep: str) -> Standing:
    """The sweep as the store holds it.

    Args:
        connection: The open store.
        sweep: As `find_sweep` takes it.

    Raises:
        TrackingError: If there is no such sweep.
    """
    run = find_sweep(connection, sweep)
    record, planned = read_plan(connection, run)
    recorded = counting_runs(connection, planned)
    trials = []
    for trial in planned:
        status, reason = standing_of(trial, recorded.get(trial.key))
        trials.append(TrialState(trial.key, trial.arm, trial.seed, status, reason, trial.reused))
    running = {one.run_id: _running(one) for one in running_sweeps(connection) if not was_killed(one.process)}
    here = running.pop(run.info.run_id, None)
    others = [one for one in running.values() if one.sign.last is not None]  # of an older bnbench's, nobody can tell
    return Standing(record, _state(run.info.status, here), trials, here, others)


def _state(status: str, running: Running | None) -> State:
    if status == "RUNNING":
        return "killed" if running is None else "running" if running.sign.is_fresh else "silent"
    return "finished" if status == "FINISHED" else "failed" if status == "FAILED" else "killed"


def _running(one: Holder) -> Running:
    host, here = host_of(one.process), is_of_this_host(one.process)
    if not one.heartbeat:
        return Running(one.title, Sign(host, here, None), one.keys)
    last = beaten_at(one.heartbeat)
    return Running(one.title, Sign(host, here, last, (datetime.now(UTC) - last).total_seconds()), one.keys)
