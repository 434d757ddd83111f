"""The process of the checked layer as the judge sees it: started anew after a death, and never waited for too long."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bnbench.check.wire import from_line, to_line
from bnbench.config import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent
# Another interpreter gets this package by its path alone: not this environment's packages, which are not for it.
_ELSEWHERE = f"""
import runpy, sys, types
package = types.ModuleType("bnbench")
package.__path__ = [{str(_PACKAGE)!r}]
sys.modules["bnbench"] = package
runpy.run_module("bnbench.check.subject", run_name="__main__")
"""


@dataclass(frozen=True)
class Target:
    """What is checked, and how.

    Attributes:
        name: `package.module:name` of a class or function.
        framework: Its framework; None to find it out.
        arguments: Arguments of its constructor.
        backward: `package.module:function` with the gradient of a plain function, or None.
        python: The interpreter that runs it.
        seconds: How long one answer may take.
    """

    name: str
    framework: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    backward: str | None = None
    python: str = sys.executable
    seconds: float = 120.0


class RefusedError(Exception):
    """The checked code refused what it was asked; its message."""


class DiedError(Exception):
    """The process of the checked code crashed, or gave no answer in time; what happened to it."""


class Subject:
    """Asks the checked layer; to be used in a `with`, at whose end its process ends.

    Args:
        target: What is checked.
        threads: How many threads its framework is told to use; None leaves it as it is.

    Attributes:
        framework, versions: What was found, after the first answer.
    """

    def __init__(self, target: Target, threads: int | None = None) -> None:
        self.target = target
        self.framework = ""
        self.versions: dict[str, str] = {}
        self.settings: dict[str, float] = {}
        self._threads = threads
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def start(self) -> None:
        """Start the process, unless it runs, and learn what it found.

        Raises:
            ConfigError: If there is nothing to check under that name; one line.
            DiedError: If it crashed or hung while it was imported.
        """
        if self._process is not None:
            return
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONFAULTHANDLER": ""}
        if self._threads is not None:
            environment["BNBENCH_CHECK_THREADS"] = environment["OMP_NUM_THREADS"] = str(self._threads)
        same = self.target.python == sys.executable
        words = ["-m", "bnbench.check.subject"] if same else ["-c", _ELSEWHERE]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
        try:
            self._process = subprocess.Popen(
                [self.target.python, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"check --python {self.target.python} cannot be started: {error.strerror}") from error
        self._answers = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        target = self.target
        asked = {"name": target.name, "framework": target.framework, "arguments": dict(target.arguments)}
        found = self._ask({**asked, "backward": target.backward})
        if "bad" in found:
            raise ConfigError(f"check {found['bad']}")
        self.framework, self.versions = found["framework"], found["versions"]

    def run(self, spec: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], threads: int | None = None) -> list[Any]:
        """Make a layer and do the steps with it; each answer is a dict, or a `RefusedError` in its place.

        Args:
            spec: The layer that is wanted.
            steps: What is done with it.
            threads: With how many threads; None leaves it to the framework.

        Raises:
            RefusedError: If the layer could not be made.
            DiedError: If the process crashed or hung.
        """
        self.start()
        spec = {**spec, "arguments": dict(self.target.arguments)}
        answer = self._ask({"spec": spec, "steps": [*steps], "threads": threads})
        if answer.get("refused") == "threads":
            with Subject(self.target, threads) as other:
                return other.run(spec, steps)
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        self.settings = answer["settings"]
        return [RefusedError(step["refused"]) if "refused" in step else step for step in answer["steps"]]

    def _ask(self, request: Mapping[str, Any]) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(to_line(request) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self.target.seconds)
        except queue.Empty:
            self._end()
            raise DiedError(f"no answer within {self.target.seconds:g} s; its process was ended") from None
        except BrokenPipeError:
            line = ""
        if not line:
            raise DiedError(self._death())
        return from_line(line)

    def _death(self) -> str:
        """How the process ended by itself."""
        assert self._process is not None
        assert self._errors is not None
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._end()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        return f"its process ended {how}" + (f": {said[-1].strip()[:200]}" if said and status > 0 else "")

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _read(stream: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Hand on each line; an empty one says that there will be no more."""
    try:
        for line in stream:
            answers.put(line)
    except ValueError:  # closed by the judge, who waits no longer
        pass
    answers.put("")
