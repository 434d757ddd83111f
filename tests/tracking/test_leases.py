"""Sweeps that are trained at once on one store share their trials out, each to one of them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from typing import Any

import pytest
from mlflow.store.tracking.dbmodels.models import SqlRun
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from bnbench.record.names import Tag
from bnbench.tracking import TrackingError, heartbeat, leases, tags
from bnbench.tracking.heartbeat import Heartbeat
from bnbench.tracking.store import Store

Start = Callable[..., str]


class Sweep:
    """A sweep's run in a store, whose heart has beaten once."""

    def __init__(self, store: Store, start: Start, id: str) -> None:
        self.store = store
        self.run_id = start([], id=id)
        self.leases = store.leases(self.run_id)
        self.beat()

    def beat(self) -> None:
        store_tag(self, tags.HEARTBEAT, f"2026-01-01T00:00:00+00:00 {time.monotonic_ns()}")

    @property
    def status(self) -> str:
        return str(self.store._connection.client.get_run(self.run_id).info.status)

    def tags(self) -> dict[str, str]:
        return dict(self.store._connection.client.get_run(self.run_id).data.tags)


def store_tag(sweep: Sweep, key: str, value: str) -> None:
    sweep.store._connection.client.set_tag(sweep.run_id, key, value)


@pytest.fixture
def sweep(store: Store, start: Start) -> Callable[[str], Sweep]:
    return lambda id: Sweep(store, start, id)


def test_who_comes_later_gets_what_is_left_and_the_rest_once_it_is_given_back(sweep: Callable[[str], Sweep]) -> None:
    first, second = sweep("1"), sweep("2")
    assert first.leases.take(["a", "b"]) == {}
    theirs = second.leases.take(["b", "c"])
    assert {key: one.title for key, one in theirs.items()} == {"b": "placement-1"}
    assert first.leases.held().keys() == {"c"}  # not b, which the second does not train
    assert second.leases.held().keys() == {"a", "b"}
    first.leases.give_back()
    assert second.leases.held() == {}
    assert not [key for key in first.tags() if key.startswith(tags.LEASE)]
    assert second.leases.take(["b"]) == {}
    assert first.leases.take(["a", "b", "c"]).keys() == {"b"}


def test_a_clock_that_is_behind_takes_nothing_from_others(sweep: Callable[[str], Sweep], store: Store) -> None:
    first = sweep("1")
    first.leases.take(["a"])
    later = sweep("2")
    assert isinstance(store._connection.store, SqlAlchemyStore)
    with store._connection.store.ManagedSessionMaker(read_only=False) as session:
        session.query(SqlRun).filter_by(run_uuid=later.run_id).update({"start_time": 1})
    assert later.leases.take(["a"]).keys() == {"a"}


def test_lists_longer_than_a_tag_are_whole(sweep: Callable[[str], Sweep]) -> None:
    first, second = sweep("1"), sweep("2")
    keys = [f"{n:016x}" for n in range(2 * leases._KEYS_IN_TAG + 1)]
    first.leases.take(keys)
    assert second.leases.take(keys).keys() == {*keys}
    first.leases.take(keys[:1])
    assert second.leases.held().keys() == {keys[0]}


def test_of_sweeps_that_take_at_the_same_instant_each_trial_goes_to_one(sweep: Callable[[str], Sweep]) -> None:
    sweeps = [sweep(str(n)) for n in range(4)]
    keys = [*"abcdef"]
    for _ in range(4):
        got: list[list[str]] = [[] for _ in sweeps]
        together = threading.Barrier(len(sweeps))

        def take(n: int, got: list[list[str]] = got, together: threading.Barrier = together) -> None:
            mine = keys[n:]
            together.wait()
            theirs = sweeps[n].leases.take(mine)
            got[n] = [key for key in mine if key not in theirs]

        threads = [threading.Thread(target=take, args=(n,)) for n in range(len(sweeps))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(key for mine in got for key in mine) == dict.fromkeys(keys, 1)
        for one in sweeps:
            one.leases.give_back()


def test_of_two_that_have_not_seen_each_other_the_slower_waits_until_the_other_has_chosen(
    sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looks for numbers before the first has written its own, and writes its own after."""
    first, second = sweep("1"), sweep("2")
    outcomes: dict[str, Set[str]] = {}
    look, looked, go_on = first.leases._living, threading.Event(), threading.Event()

    def slowly() -> Any:
        seen = look()
        if not looked.is_set():
            looked.set()
            go_on.wait(10)
        return seen

    monkeypatch.setattr(first.leases, "_living", slowly)
    slow = threading.Thread(target=lambda: outcomes.update(first=first.leases.take(["a"]).keys()))
    slow.start()
    looked.wait(10)
    quick = threading.Thread(target=lambda: outcomes.update(second=second.leases.take(["a"]).keys()))
    quick.start()
    quick.join(3 * leases._LOOK_SECONDS)
    assert quick.is_alive()  # for it sees that the first is choosing
    go_on.set()
    slow.join()
    quick.join()
    assert sorted(map(len, outcomes.values())) == [0, 1]


def test_a_sweep_whose_heart_stops_loses_its_trials_and_one_that_beats_does_not(
    sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_SECONDS", 1.0)
    dead, living, third = sweep("1"), sweep("2"), sweep("3")
    dead.leases.take(["a"])
    living.leases.take(["b"])
    deadline = time.monotonic() + 10
    while third.leases.held().keys() == {"a", "b"} and time.monotonic() < deadline:
        living.beat()
        time.sleep(0.1)
    assert third.leases.held().keys() == {"b"}
    assert (dead.status, living.status) == ("KILLED", "RUNNING")
    assert third.leases.take(["a", "b"]).keys() == {"b"}


def test_a_process_of_this_host_that_is_gone_loses_its_trials_at_once(sweep: Callable[[str], Sweep]) -> None:
    name_it = "from bnbench.tracking import this_process; print(this_process())"
    gone = subprocess.run([sys.executable, "-c", name_it], capture_output=True, text=True, check=True).stdout.strip()
    dead, other = sweep("1"), sweep("2")
    dead.leases.take(["a"])
    store_tag(dead, tags.PROCESS, gone)
    connection = dead.store._connection
    half = connection.client.create_run(connection.experiment_id, tags={Tag.PARENT: dead.run_id})
    assert other.leases.take(["a"]) == {}
    assert dead.status == "KILLED"
    assert connection.client.get_run(half.info.run_id).info.status == "KILLED"
    assert other.status == "RUNNING"


def test_while_the_store_does_not_answer_nobody_dies(
    sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "DEAD_SECONDS", 0.5)
    one, other = sweep("1"), sweep("2")
    one.leases.take(["a"])
    assert other.leases.held().keys() == {"a"}

    def away(*_: Any) -> Any:
        raise OSError("away")

    with monkeypatch.context() as broken:
        broken.setattr(leases, "running_sweeps", away)
        with pytest.raises(TrackingError, match="away"):
            other.leases.held()
        time.sleep(0.6)
    assert other.leases.held().keys() == {"a"}
    assert one.status == "RUNNING"


def test_a_heart_beats_on_though_the_store_refuses_now_and_then(
    sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.05)
    one = sweep("1")
    connection = one.store._connection
    beat, seen = connection.client.set_tag, []

    def now_and_then(run_id: str, key: str, value: str) -> None:
        seen.append(value)
        if len(seen) % 2 == 0:
            raise OSError("away")
        beat(run_id, key, value)

    monkeypatch.setattr(connection.client, "set_tag", now_and_then)
    heart = Heartbeat(connection, one.run_id)
    heart.start()
    deadline = time.monotonic() + 10
    while len(seen) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    heart.stop()
    assert len(set(seen)) == len(seen) >= 6
    assert one.tags()[tags.HEARTBEAT] in seen
    at_end = len(seen)
    time.sleep(0.3)
    assert len(seen) <= at_end + 1
