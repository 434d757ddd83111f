"""Shares trials out among the sweeps that are trained at once on one store, each trial to one of them.

A tracking store has no compare-and-swap, only tags that everybody reads and each sweep alone writes on its own run.
That is enough for Lamport's bakery: who wants trials says so, takes a number above all that he sees, and waits until
nobody is choosing one; a trial belongs to the lowest number that lists it. Numbers, not times, for hosts' clocks
differ: who comes later always has a higher one.

References:
    Lamport (1974), "A new solution of Dijkstra's concurrent programming problem", CACM 17(8), 453–455.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mlflow.entities import Run, RunTag

from bnbench.record.names import Tag
from bnbench.tracking.bulk import chunks
from bnbench.tracking.connect import Connection, reported
from bnbench.tracking.errors import TrackingError
from bnbench.tracking.heartbeat import Pulses
from bnbench.tracking.process_identity import host_of, was_killed
from bnbench.tracking.sweep_runs import all_runs
from bnbench.tracking.tags import HEARTBEAT, LEASE, PROCESS

_CHOOSING = "choosing"
_LOOK_SECONDS = 0.2  # between two looks while others choose their numbers
_KEYS_IN_TAG = 250
_TAGS_AT_ONCE = 100  # MLflow's limit


@dataclass(frozen=True)
class Holder:
    """A sweep that is being trained.

    Attributes:
        title: Its name and id.
        process: What trains it, as `process_identity.this_process` names it.
        heartbeat: Its newest sign of life, see `heartbeat.beaten_at`; empty where an older bnbench trains it.
        keys: Of the trials that it trains, now or next.
        number: Its place among those that want these; None while it chooses one, and where it holds nothing.
        chooses: Whether it is choosing one.
    """

    run_id: str
    title: str
    process: str
    heartbeat: str
    keys: frozenset[str] = frozenset()
    number: int | None = None
    chooses: bool = False

    @property
    def shown(self) -> str:
        """The sweep and its host in words."""
        return f"{self.title} on host {host_of(self.process)}"


class Leases:
    """What one sweep takes of trials, and what others hold as far as it can see.

    Args:
        connection: The open store.
        run_id: The sweep's.
    """

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self._run_id = run_id
        self._pulses = Pulses()
        self._written: set[str] = set()

    def take(self, keys: Collection[str]) -> dict[str, Holder]:
        """Take trials, in place of what was taken before; gives those of them that another sweep holds, by key.

        The others are this sweep's own until it gives them back, ends or dies.

        Raises:
            TrackingError: If the store does not do as asked.
        """
        with reported(self._connection.address):
            self._list(_CHOOSING, keys)
            number = 1 + max((other.number or 0 for other in self._living()), default=0)
            self._list(str(number), keys)
            others = self._living()
            while any(other.chooses for other in others):
                time.sleep(_LOOK_SECONDS)
                others = self._living()
            first = [one for one in others if one.number and (one.number, one.run_id) < (number, self._run_id)]
            theirs = {key: one for one in first for key in one.keys.intersection(keys)}
            if theirs:
                self._list(str(number), [key for key in keys if key not in theirs])
        return theirs

    def give_back(self) -> None:
        """Hold nothing more; to be called once the results are in the store."""
        with reported(self._connection.address):
            for tag in sorted(self._written):  # the place first, without which the lists are nothing
                self._connection.client.delete_tag(self._run_id, tag)
                self._written.remove(tag)

    def held(self) -> dict[str, Holder]:
        """The trials that other sweeps hold, by key.

        Raises:
            TrackingError: If the store does not answer.
        """
        try:
            with reported(self._connection.address):
                return {key: one for one in self._living() for key in one.keys}
        except TrackingError:
            self._pulses.forget()  # for nobody could renew a heartbeat meanwhile
            raise

    def _list(self, place: str, keys: Collection[str]) -> None:
        lists = [" ".join(part) for part in chunks(keys, _KEYS_IN_TAG)]
        self._set({LEASE: f"{place} {len(lists)}", **{f"{LEASE}.{n}": text for n, text in enumerate(lists)}})

    def _set(self, tags: Mapping[str, str]) -> None:
        self._written |= tags.keys()
        for part in chunks(tags, _TAGS_AT_ONCE):
            self._connection.client.log_batch(
                self._run_id, tags=[RunTag(key, tags[key]) for key in part], synchronous=True
            )

    def _living(self) -> list[Holder]:
        """The other sweeps; one that has died is ended, so that nobody waits for it any more."""
        living = []
        for other in running_sweeps(self._connection):
            if other.run_id == self._run_id or not other.heartbeat:
                continue
            if was_killed(other.process) or not self._pulses.is_alive(other.run_id, other.heartbeat):
                _end(self._connection, other)
            else:
                living.append(other)
        return living


def _end(connection: Connection, dead: Holder) -> None:
    """Close the run of a sweep that has died, and those of trials that it was about to record."""
    halves = all_runs(connection, f"attributes.status = 'RUNNING' AND tags.`{Tag.PARENT}` = '{dead.run_id}'")
    for run_id in [*(run.info.run_id for run in halves), dead.run_id]:
        connection.client.set_terminated(run_id, "KILLED")


def running_sweeps(connection: Connection) -> list[Holder]:
    """The sweeps that have not ended, as far as the store says."""
    wanted = f"attributes.status = 'RUNNING' AND tags.`{Tag.KIND}` = 'sweep' AND tags.`{PROCESS}` != ''"
    return [*map(_holder, all_runs(connection, wanted))]


def _holder(run: Run) -> Holder:
    tags = run.data.tags
    one = Holder(run.info.run_id, run.info.run_name, tags[PROCESS], tags.get(HEARTBEAT, ""))
    if not tags.get(LEASE):
        return one
    place, lists = tags[LEASE].split()
    if place == _CHOOSING:
        return replace(one, chooses=True)
    keys = frozenset(key for n in range(int(lists)) for key in tags.get(f"{LEASE}.{n}", "").split())
    return replace(one, keys=keys, number=int(place))
