"""Runs an action in a process of its own, so that the caller outlives what kills it, and learns what it was."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from bnbench.tracking import TrackingError

CAN_ISOLATE = sys.platform == "linux"
"""On other systems it is not safe to fork a process that has loaded the system's frameworks."""

_LOOK_SECONDS = 0.3
_LONGEST_TRACEBACK = 30_000  # characters, which a pipe holds without anybody reading


def failure_of(action: Callable[[], None]) -> str | None:
    """Run `action` here: None if it went well, else its traceback.

    Raises:
        TrackingError: As `action` raised it: results cannot be written, which trying again does not change.
    """
    try:
        action()
    except TrackingError:
        raise
    except Exception as error:
        return "".join(traceback.format_exception(error)).strip()[-_LONGEST_TRACEBACK:]
    return None


def isolated(action: Callable[[], None], wanted: Callable[[], bool] = lambda: True) -> str | None:
    """Run `action` in a forked process: None if it went well, else its traceback, or what killed it.

    The process dies with this one. To be called from processes with a single thread, which have not touched a GPU.

    Args:
        action: What to do.
        wanted: Whether anybody still waits for the result; asked a few times a second. If not, both processes end.

    Raises:
        TrackingError: As `action` raised it.
    """
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_run, args=(action, sender, os.getpid()))
    # Ctrl-C reaches the caller too, which ends this process; so the process itself ignores it.
    signals_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals_before)
    sender.close()  # so that the end of the process is the end of the pipe
    try:
        while not receiver.poll(_LOOK_SECONDS):
            if not wanted():
                process.kill()
                os._exit(1)
        try:
            outcome: str | TrackingError | None = receiver.recv()
        except EOFError:
            process.join()
            return _death(process.exitcode or 0)
        process.join()
    finally:
        process.kill()
        receiver.close()
    if isinstance(outcome, TrackingError):
        raise outcome
    return outcome


def end_with(parent: int) -> None:
    """Wait until this process is not `parent`'s child any more, because that has ended; then end it at once."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _run(action: Callable[[], None], sender: Connection, parent: int) -> None:
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    try:
        sender.send(failure_of(action))
    except TrackingError as error:
        sender.send(error)


def _death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended with exit status {exit_code} and left no result"
    name = signal.Signals(-exit_code).name
    memory = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
