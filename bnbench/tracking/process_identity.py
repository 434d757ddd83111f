"""Names the process that writes a run, and says whether such a process is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_UNKNOWN = "-"


def this_process() -> str:
    """What tells this process from every other: its host, its id there, and when it started."""
    return f"{socket.gethostname()} {os.getpid()} {_start(os.getpid())}"


def was_killed(process: str) -> bool:
    """Whether the process that `this_process` named is known to be gone; False for one of another host."""
    host, pid, start = process.split()
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, under another user
        pass
    now = _start(int(pid))
    return now is None or (_UNKNOWN not in (now, start) and now != start)


def _start(pid: int) -> str | None:
    """When a process started, which tells it from an earlier one with its id.

    Returns:
        A number of the system's own clock, or "-" where the system does not say; None if the process is gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _UNKNOWN
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else fields[18]
