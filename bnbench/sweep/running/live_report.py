"""Writes a sweep's report again and again while it is trained, for a browser that reloads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bnbench.record.sweep_table import SweepTable
from bnbench.report import write_live_report
from bnbench.tracking import TrackingError

_PERIOD_SECONDS = 120.0
_MOST_SHARE = 0.03  # of the time, at most, goes into writing it


class LiveReport:
    """A context manager that writes `report.html` every few minutes from a thread of its own.

    It is no result: where the store is locked or the disk is full, it is left out until the next time.

    Args:
        load: Reads the sweep as the store holds it.
        folder: The sweep's.
        period_seconds: From one report to the next; longer where writing takes long.
    """

    def __init__(self, load: Callable[[], SweepTable], folder: Path, period_seconds: float = _PERIOD_SECONDS) -> None:
        self._load = load
        self._folder = folder
        self._period_seconds = period_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bnbench-live-report", daemon=True)

    def __enter__(self) -> LiveReport:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if error is None:
            self._thread.join()

    def _run(self) -> None:
        pause = self._period_seconds
        while not self._stopping.wait(pause):
            began = time.monotonic()
            write_live(self._load, self._folder)
            pause = max(self._period_seconds, (time.monotonic() - began) / _MOST_SHARE)


def write_live(load: Callable[[], SweepTable], folder: Path) -> None:
    """Write the report of a sweep that is being trained, unless the store or the disk refuses for now."""
    with suppress(TrackingError, OSError):
        write_live_report(load(), folder)
