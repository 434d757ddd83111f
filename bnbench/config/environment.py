"""What a result depends on besides its configuration: versions, source code and hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bnbench.config import trial
from bnbench.record.redaction import redacted
from bnbench.record.version import __version__

_PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "mlflow", "numpy", "scipy", "pandas")
_GIT_SECONDS = 5


def versions() -> dict[str, str]:
    """The versions of Python, bnbench, its numerics and the packages that numbers pass through; those installed."""
    installed = {
        "python": platform.python_version(),
        "bnbench": __version__,
        "numerics": str(trial.NUMERICS_VERSION),
    }
    for package in _PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def git_state(folder: Path) -> dict[str, Any]:
    """The commit that `folder` is at, and whether anything differs from it, untracked files included.

    Returns:
        `commit`, `dirty`, `branch`, and `remote` where there is one, its password taken out; nothing outside a
        checkout, before its first commit or without git.
    """
    lines = _git(folder, "status", "--porcelain=v2", "--branch")
    about = dict(line.split(maxsplit=2)[1:] for line in lines if line.startswith("# branch."))
    commit = about.get("branch.oid", "(initial)")
    if commit == "(initial)":
        return {}
    state = {
        "commit": commit,
        "dirty": any(not line.startswith("#") for line in lines),
        "branch": about["branch.head"],
    }
    remote = _git(folder, "config", "--get", "remote.origin.url")
    return state | ({"remote": redacted(remote[0])} if remote else {})


def _git(folder: Path, *words: str) -> list[str]:
    """The lines that git answers; none where it fails."""
    command = ["git", "-C", str(folder), *words]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.splitlines()


def hardware() -> dict[str, Any]:
    """The processor's name, the cores this process may use and the machine's memory."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
    }


def cpu_name() -> str:
    """The processor's name, as its system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
