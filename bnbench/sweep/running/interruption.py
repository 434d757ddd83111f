"""How a sweep ends that is told to: soon, and in order."""

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


@contextmanager
def deaf_workers() -> Iterator[None]:
    """Let the processes that are started inside not hear Ctrl-C, which a terminal sends to all of them.

    They would each print a traceback; it is this process that ends them. A process inherits the signals that the
    thread which starts it has blocked; another thread is there to take what is meant for this process.
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
    """Do what can be done in a moment, and leave it if it takes longer or the tracking store refuses."""

    def run() -> None:
        with suppress(TrackingError):
            action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SECONDS)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
