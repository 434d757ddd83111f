"""Trains packs on a Ray cluster: one task a pack, each on a CPU of the cluster, none of them tried again by Ray."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from typing import Any

from bnbench.config import ConfigError
from bnbench.sweep.launchers.trainer import train_here
from bnbench.sweep.launchers.workers import lost_answer, own_handlers_kept

_LOOK_SECONDS = 0.5
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 20.0  # which Ray itself would wait for without end
_ADDRESS = re.compile(r"([^\s:/]+):(\d{1,5})")
_ALLOWED = (
    "it must be HOST:PORT of a running cluster's head (Ray's port is 6379), or local for a cluster of this machine"
)


class RayWorkers:
    """As `Workers`: a Ray cluster that is joined, or one of this machine that begins and ends with the sweep."""

    def __init__(self, address: str | None, count: int | None) -> None:
        """Join the cluster.

        Args:
            address: HOST:PORT of its head, or "local".
            count: How many packs are trained at once, if not as many as the cluster has CPUs.

        Raises:
            ConfigError: If Ray is not installed, or no cluster answers that can be used; one line.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ConfigError("hydra/launcher=ray needs Ray, and it is not here; pip install 'bnbench[ray]'") from error
        self._ray: Any = ray
        self._wanted = count
        self._joined = not self._ray.is_initialized()
        self.remedy = "fewer workers on each node: its num-cpus, as `ray start` takes it"
        if self._joined:
            _join(self._ray, address, count)
        if not self._cpus():
            self.close()
            raise ConfigError(f"hydra.launcher.address={address} has no CPU for tasks; start a node with --num-cpus")
        self.count = min(self._cpus(), count or self._cpus())

    def train(self, packs: Sequence[str]) -> Generator[tuple[int, str], None, None]:
        # Ray gets no more packs than it can begin: what waits for a node would be lost with it.
        task = self._ray.remote(train_here).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
        left = list(enumerate(packs))[::-1]
        running: dict[Any, int] = {}
        try:
            while left or running:
                room = (self._wanted or max(1, self._cpus())) - len(running)
                for number, pack in [left.pop() for _ in range(min(room, len(left)))]:
                    running[task.remote(pack)] = number
                ended, _ = self._ray.wait([*running], timeout=_LOOK_SECONDS)
                for one in ended:
                    yield running.pop(one), self._answer(one)
        finally:
            for one in running:
                self._ray.cancel(one, force=True)

    def close(self) -> None:
        if self._joined:
            self._ray.shutdown()

    def _cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _answer(self, one: Any) -> str:
        errors = self._ray.exceptions
        try:
            answer: str = self._ray.get(one)
            return answer
        except errors.OutOfMemoryError:
            return lost_answer("its node ran out of memory", "")
        except errors.NodeDiedError:
            return lost_answer("its node was lost", "")
        except (errors.WorkerCrashedError, errors.LocalRayletDiedError):
            return lost_answer("its worker was killed", "")
        except errors.RayTaskError as error:
            return json.dumps({"host": "", "refused": _without_frames(error)})


def _join(ray: Any, address: str | None, count: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address == "local":
        cpus = count or len(os.sched_getaffinity(0))
        with own_handlers_kept():
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        return
    _check_head(address)
    try:
        with own_handlers_kept():
            ray.init(address=address, **quiet)
    except (RuntimeError, ConnectionError, ValueError) as error:  # another Ray or Python than here, say
        raise ConfigError(f"hydra.launcher.address={address}: {' '.join(str(error).split())}") from error


def _check_head(address: str | None) -> None:
    """See that a cluster answers; Ray itself tries for many minutes before it says that none does.

    Raises:
        ConfigError: If none does, within half a minute.
    """
    match = _ADDRESS.fullmatch(address or "")
    if not match:
        raise ConfigError(f"hydra.launcher.address={address} is not allowed; {_ALLOWED}")
    nobody = f"hydra.launcher.address={address}: no Ray cluster answers there; {_ALLOWED}"
    try:
        socket.create_connection((match[1], int(match[2])), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(nobody) from error
    check = [sys.executable, "-c", _ASK_HEAD, str(address)]
    try:
        subprocess.run(check, timeout=_ANSWER_SECONDS, check=True, capture_output=True)
    except subprocess.SubprocessError as error:
        raise ConfigError(nobody) from error


_ASK_HEAD = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"


def _without_frames(error: Exception) -> str:
    """The last line of what a worker raised before it could train: that bnbench is not there, say."""
    return str(error).strip().splitlines()[-1]
