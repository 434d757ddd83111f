"""MLflow tags that only this package writes and reads; those that users search for are in `names.Tag`."""

from __future__ import annotations

import os
import socket
import uuid

__all__ = ["DIVERGED_STEP", "PROCESS", "TRIALS", "this_process", "was_killed"]

DIVERGED_STEP = "bnbench.diverged_step"
TRIALS = "bnbench.trials"  # number of trials a sweep lists
PROCESS = "bnbench.process"  # who writes the run: host, process id and a token of its own

_TOKEN = uuid.uuid4().hex  # tells a process from an earlier one with the same id


def this_process() -> str:
    """The value of `PROCESS` for runs that this process writes."""
    return f"{socket.gethostname()} {os.getpid()} {_TOKEN}"


def was_killed(process: str) -> bool:
    """Whether the process that wrote this tag is known to be gone; of other hosts nothing is known."""
    host, pid, token = process.split()
    if host != socket.gethostname():
        return False
    if int(pid) == os.getpid():
        return token != _TOKEN
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, under another user
        return False
    return False
