"""Names the process that writes a run, and says whether such a process is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_UNKNOWN = "-"


def this_process() -> str:
    """What tells this process from every other: its host, its id there, when it started, and whose ids those are."""
    return f"{socket.gethostname()} {os.getpid()} {_start(os.getpid())} {_namespace()}"


def was_killed(process: str) -> bool:
    """Whether the process that `this_process` named is known to be gone.

    False for one of another host, and for one of another container, which may have this one's name but not its ids.
    """
    host, pid, start, *namespace = process.split()  # an older bnbench named none
    if host != socket.gethostname() or (namespace and namespace != [_namespace()]):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, under another user
        pass
    now = _start(int(pid))
    return now is None or (_UNKNOWN not in (now, start) and now != start)


def _namespace() -> str:
    """The number of the table of processes in which ids are looked up; a container has one of its own."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return _UNKNOWN


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
