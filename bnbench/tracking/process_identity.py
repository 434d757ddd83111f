"""Names the process that writes a run, and says whether such a process is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_UNKNOWN = "-"


def this_process() -> str:
    """What tells this process from every other: its host, its id there, when it started, and whose ids those are."""
    return f"{socket.gethostname()} {os.getpid()} {_start(os.getpid())} {_namespace()}"


def host_of(process: str) -> str:
    """The host of a process that `this_process` named."""
    return process.split()[0]


def is_of_this_host(process: str) -> bool:
    """Whether a process that `this_process` named is, or was, of this host and container."""
    host, _, _, *namespace = process.split()  # an older bnbench named none
    return host == socket.gethostname() and (not namespace or namespace == [_namespace()])


def was_killed(process: str) -> bool:
    """Whether the process that `this_process` named is known to be gone.

    False for one of another host, and for one of another container, which may have this one's name but not its ids.
    """
    if not is_of_this_host(process):
        return False
    _, pid, start, *_ = process.split()
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
