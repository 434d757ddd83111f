"""The sign of life of a sweep that is being trained: a tag of its run that changes every few seconds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

from bnbench.tracking.connect import Connection, reported
from bnbench.tracking.errors import TrackingError
from bnbench.tracking.tags import HEARTBEAT

PERIOD_SECONDS = 15.0
DEAD_SECONDS = 90.0
"""A sweep that has not renewed its heartbeat for so long is given up."""


class Heartbeat:
    """Renews the heartbeat of a sweep's run from a thread of its own, until it is stopped.

    A store that does not answer is asked again a period later; training does not wait for it.

    Args:
        connection: The open store.
        run_id: The sweep's.
    """

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self._run_id = run_id
        self._beats = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bnbench-heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, and from then on every period.

        Raises:
            TrackingError: If the store refuses.
        """
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_SECONDS):
            with suppress(TrackingError):
                self._beat()

    def _beat(self) -> None:
        self._beats += 1  # so that it changes, though this host's clock were set back
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with reported(self._connection.address):
            self._connection.client.set_tag(self._run_id, HEARTBEAT, f"{now} {self._beats}")


class Pulses:
    """Which sweeps are alive, as seen from here: by this process's clock, for hosts' clocks differ."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def is_alive(self, run_id: str, heartbeat: str) -> bool:
        """Whether a sweep's heartbeat was seen to change, or was first looked at, less than `DEAD_SECONDS` ago."""
        now = time.monotonic()
        before, since = self._seen.get(run_id, ("", now))
        if heartbeat != before:
            since = now
        self._seen[run_id] = heartbeat, since
        return now - since < DEAD_SECONDS

    def forget(self) -> None:
        """Look at all of them as if for the first time: the store did not answer, so that nobody could renew his."""
        self._seen.clear()


def beaten_at(heartbeat: str) -> datetime:
    """When a heartbeat was last renewed, by the clock of the host that renewed it."""
    return datetime.fromisoformat(heartbeat.split()[0])
