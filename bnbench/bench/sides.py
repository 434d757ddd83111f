"""Starts the timed processes, sends them requests, reads their answers, and leaves none of them behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bnbench

_MODULES = {
    "usual": "usual",
    "handwritten": "handwritten",
    "torch": "packed",
    "lanes": "packed",
    "jax": "jax_loop",
    "whole": "whole",
}
"""By the name of a side, the module of this package that holds it."""

_GRACE_SECONDS = 5.0
# These are taken out of the environment, so that a timed sweep is recorded only in its temporary folder.
_STORE_VARIABLES = {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"}


class SideError(RuntimeError):
    """A timed process failed; the message is one line that says which, and why."""


class Child:
    """One timed process. It is in a session of its own, so that a terminal's Ctrl-C reaches the parent alone.

    Args:
        side: A module of this package with a class `Side`.
        folder: The process's working folder, which also holds its log and temporary files.
    """

    def __init__(self, side: str, folder: Path) -> None:
        self._side = side
        self._log = folder / f"{side}-{uuid.uuid4().hex}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bnbench.bench.child", side],
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        self._pending = 1  # the answer that tells that it has started

    def send(self, method: str, **arguments: Any) -> None:
        """Call a method of the process's `Side` without waiting for its answer."""
        self._settle()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process ended; `receive` says why
            print(json.dumps({"method": method, "arguments": arguments}), file=self._process.stdin, flush=True)
        self._pending += 1

    def receive(self) -> Any:
        """The answer to the oldest call that has none yet.

        Raises:
            SideError: If the process failed.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._pending -= 1
        if not line:
            lines = [text for text in self._log.read_text(errors="replace").splitlines() if text.strip()]
            raise SideError(f"bench: the process of {self._side} ended: {lines[-1] if lines else 'it said nothing'}")
        reply = json.loads(line)
        if "error" in reply:
            raise SideError(f"bench: {self._side} failed: {reply['error']}")
        return reply["answer"]

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the process's `Side`, and wait for its answer."""
        self.send(method, **arguments)
        return self.receive()

    def _settle(self) -> None:
        while self._pending:
            self.receive()

    def end(self) -> None:
        """End the process, and those that it started."""
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, kind)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
            if self._group_ended():
                break
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _group_ended(self) -> bool:
        """Wait a short while for the whole process group to end, as its workers may tidy up; returns whether it did."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            try:
                os.killpg(self._process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
            time.sleep(0.02)
        return False


class Sides:
    """The timed processes by the names of their sides, each started when it is first needed.

    A context manager, which ends them all.

    Args:
        folder: Where the processes write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, Child] = {}

    def __getitem__(self, name: str) -> Child:
        if name not in self._started:
            self._started[name] = Child(_MODULES[name], self._folder)
        return self._started[name]

    def start(self, *names: str) -> None:
        """Start sides without waiting for them."""
        for name in names:
            _ = self[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # ends the others even if one raises
            for child in self._started.values():
                stack.callback(child.end)


def environment(folder: Path) -> dict[str, str]:
    """The variables of a timed process: it finds bnbench anywhere, and puts temporary files into `folder`."""
    home = str(Path(bnbench.__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    inherited = {name: value for name, value in os.environ.items() if name not in _STORE_VARIABLES}
    return {**inherited, "PYTHONPATH": paths, "TMPDIR": str(folder), "JOBLIB_TEMP_FOLDER": str(folder)}
