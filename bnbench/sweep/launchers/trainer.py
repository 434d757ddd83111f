"""Trains packs in an interpreter of its own, which lives on from pack to pack, on the host that this runs on.

An engine's worker has threads, handlers of signals, and maybe an MKL that was used before; none of them reach a trial.
Nor do an engine's numbers of threads: of the variables that say how kernels round, the new interpreter has those of the
process that planned the sweep. Nothing heavy is imported here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnbench.sweep.launchers.workers import lost_answer
from bnbench.tensors.kernels import VARIABLES

_ENGINE_VARIABLES = ("OMP_", "MKL_", "KMP_", "OPENBLAS_")  # of engines, which set them to one thread a worker
_END_SECONDS = 5.0


class Trainer:
    """An interpreter for one pack after another: started with the first, and started anew where it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._made_for: object = None
        self._using = threading.RLock()

    @property
    def process(self) -> int | None:
        """The interpreter's id on this host, if there is one."""
        process = self._process
        return process.pid if process else None

    def train(self, pack: str) -> str:
        """The answer to a pack, as `remote` writes it; that it was lost, where the interpreter is killed.

        Args:
            pack: A line of JSON, as `send_packs` writes it.
        """
        with self._using:
            process = self._ready(json.loads(pack))
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(f"{pack}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            except BaseException:
                self.end()
                raise
            if answer.endswith("\n"):
                return answer
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)  # its own end, which tells why
            self.end()
            return lost_answer(_death(process.wait()))

    def end(self) -> None:
        """End the interpreter and what it trains; another thread may be waiting for its answer."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        with self._using:  # whoever waits for an answer sees now that there will be none
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what had not been read yet
                        pipe.close()

    def _ready(self, pack: dict[str, Any]) -> subprocess.Popen[str]:
        """An interpreter that has the pack's folder and variables."""
        made_for, process = (pack["folder"], pack["kernels"]), self._process
        if process is None or process.poll() is not None or self._made_for != made_for:
            self.end()
            folder = pack["folder"]
            process = subprocess.Popen(
                [sys.executable, "-m", "bnbench.sweep.remote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                cwd=folder if Path(folder).is_dir() else None,
                env=_environment(pack["kernels"]),
            )
            self._process, self._made_for = process, made_for
        return process


def _environment(kernels: dict[str, str]) -> dict[str, str]:
    """This process's variables; of those that kernels go by, the given ones alone, and none of the engine's."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_ENGINE_VARIABLES) and name not in VARIABLES
    }
    return {**own, **kernels}


def _death(status: int) -> str:
    if status >= 0:
        return f"its process ended with exit status {status}"
    name = signal.Signals(-status).name
    return f"its process was ended by {name}" + (", as where memory runs out" if name == "SIGKILL" else "")


_here = threading.local()


def train_here(pack: str) -> str:
    """The answer to a pack, trained by the interpreter of this thread; what Ray and Slurm run on their hosts."""
    if not hasattr(_here, "trainer"):
        _here.trainer = Trainer()
    answer: str = _here.trainer.train(pack)
    return answer
