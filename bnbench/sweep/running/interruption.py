"""Ends a sweep soon and in order when it is interrupted or terminated."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType

from bnbench.tracking import TrackingError

_SECONDS = 1.5


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, which a scheduler or a shutdown sends where a user would press Ctrl-C."""


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


@contextmanager
def workers_ignore_ctrl_c() -> Iterator[None]:
    """Have the processes that are started inside ignore Ctrl-C, which a terminal sends to all of them.

    Otherwise each would print a traceback; this process ends them instead. A process inherits the blocked signals of
    the thread that starts it, so this thread blocks Ctrl-C, and another thread receives it for this process.
    """
    # The first pool starts this process of Python's, after which Python 3.11 no longer blocks the signal.
    resource_tracker.ensure_running()
    done = threading.Event()
    threading.Thread(target=done.wait, daemon=True).start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        done.set()


def briefly(action: Callable[[], None]) -> None:
    """Run an action for a moment, and go on without it if it takes longer or the tracking store refuses."""

    def run() -> None:
        with suppress(TrackingError):
            action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SECONDS)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
