"""How a sweep ends that is told to: soon, and in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from bnbench.tracking import TrackingError

__all__ = ["Terminated", "briefly", "terminable"]

_SECONDS = 1.5


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a scheduler or a shutdown says in place of Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end what runs inside as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def briefly(action: Callable[[], None]) -> None:
    """Do what can be done in a moment, and leave it if it takes longer or the tracking store refuses."""

    def run() -> None:
        with suppress(TrackingError):
            action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SECONDS)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
