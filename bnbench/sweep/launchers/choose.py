"""Opens the workers that `hydra.launcher` names, once, and leaves them when the sweep is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bnbench.config import ConfigError
from bnbench.sweep.launchers.workers import Workers

_WHERE = ("processes", "ray", "slurm")
_open: dict[str, Workers] = {}


def open_workers(settings: Mapping[str, Any]) -> Workers:
    """The workers for these settings; the same ones until they are closed.

    Args:
        settings: Those of `hydra.launcher` in one of the files that set `where`.

    Raises:
        ConfigError: If a setting cannot be used, or nothing answers there; one line.
    """
    asked = json.dumps(dict(settings), sort_keys=True, default=str)
    if asked not in _open:
        _open[asked] = _opened(settings)
    return _open[asked]


@contextmanager
def workers_closed() -> Iterator[None]:
    """Leave all workers when the context ends that were opened in it."""
    before = set(_open)
    try:
        yield
    finally:
        for asked in [asked for asked in _open if asked not in before]:
            _open.pop(asked).close()


def _opened(settings: Mapping[str, Any]) -> Workers:
    where, workers = settings["where"], settings["workers"]
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise ConfigError(f"hydra.launcher.workers={workers} is not allowed; it must be a whole number >= 1")
    if where == "ray":
        from bnbench.sweep.launchers.ray_cluster import RayWorkers

        return RayWorkers(settings["address"], workers)
    if where == "slurm":
        from bnbench.sweep.launchers.slurm_queue import SlurmWorkers

        return SlurmWorkers(settings)
    if where == "processes":
        from bnbench.sweep.launchers.processes import LocalProcesses

        return LocalProcesses(workers or len(os.sched_getaffinity(0)))
    raise ConfigError(f"hydra.launcher.where={where} is unknown; allowed: {', '.join(_WHERE)}")
