"""Writes a sweep's report again and again while it is trained, for a browser that reloads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bnbench.record.sweep_table import SweepTable
from bnbench.report import write_live_report
from bnbench.tracking import TrackingError

_PERIOD_SECONDS = 120.0
_MOST_SHARE = 0.03  # of the time, at most, goes into writing it


@contextmanager
def live_report(
    load: Callable[[], SweepTable], folder: Path, period_seconds: float = _PERIOD_SECONDS
) -> Iterator[None]:
    """Write `report.html` every few minutes from a thread of its own, as long as the context lasts.

    Args:
        load: Reads the sweep as the store holds it.
        folder: The sweep's.
        period_seconds: From one report to the next; longer where writing takes long.
    """
    stopping = threading.Event()

    def write_again() -> None:
        pause = period_seconds
        while not stopping.wait(pause):
            began = time.monotonic()
            write_live(load, folder)
            pause = max(period_seconds, (time.monotonic() - began) / _MOST_SHARE)

    thread = threading.Thread(target=write_again, name="bnbench-live-report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
    thread.join()  # so that it does not replace the last report; who is interrupted does not wait


def write_live(load: Callable[[], SweepTable], folder: Path) -> None:
    """Write the report of a sweep that is being trained.

    It is no result: where the store is locked or the disk is full, it is left out until the next time.
    """
    with suppress(TrackingError, OSError):
        write_live_report(load(), folder)
