"""How far a running sweep is: one bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import copy_context
from types import TracebackType
from typing import Self

from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.sweep.planning.describe import duration
from bnbench.sweep.running.job import Job, read_progress
from bnbench.sweep.running.notebook_bar import NotebookBar, in_notebook

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.5


class ProgressLine(ABC):
    """Shows again and again how far something is; a context manager. Subclasses say what is shown."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        # A kernel knows by the context which cell a thread's output belongs to.
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=[self._run], name="bnbench-progress", daemon=True)

    @abstractmethod
    def look(self) -> tuple[float, str]:
        """The share that is done, in [0, 1], and a line that says more; asked from a thread."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        if sys.stderr.isatty():
            self._draw_bar()
        elif in_notebook():
            self._draw_in_notebook()
        else:
            while not self._stopping.wait(_LINE_SECONDS):
                print(self.look()[1], flush=True)

    def _draw_bar(self) -> None:
        from tqdm import tqdm

        with tqdm(total=1.0, bar_format="{percentage:3.0f}% |{bar}| {desc}", leave=False, dynamic_ncols=True) as bar:
            while not self._stopping.wait(_BAR_SECONDS):
                fraction, line = self.look()
                bar.set_description_str(line, refresh=False)
                bar.n = fraction
                bar.refresh()

    def _draw_in_notebook(self) -> None:
        bar = NotebookBar()
        while not self._stopping.wait(_BAR_SECONDS):
            bar.show(*self.look())
        bar.show(*self.look())  # a notebook keeps what is shown last


class SweepProgress(ProgressLine):
    """Watches the packs of a sweep, and shows how far they are.

    Args:
        jobs: The packs' jobs, with each one's estimated seconds and steps.
        trials: How many trials are trained.

    Attributes:
        tried_again: Why the first attempts failed, of the trials that ended in a later one.
    """

    def __init__(self, jobs: Sequence[tuple[Job, float, int]], trials: int) -> None:
        super().__init__()
        self._jobs = list(jobs)
        self._keys = {key for job, _, _ in self._jobs for key in job.keys}
        self._trials = trials
        self._finished: set[str] = set()
        self._diverged = 0
        self._failed = 0
        self.tried_again: list[str] = []
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def add(self, result: TrialResult) -> None:
        """Count a trial that has ended; called from any thread."""
        with self._lock:
            if result.key not in self._keys:  # of an earlier sweep that was killed before it recorded this
                return
            self._finished.add(result.key)
            self._diverged += result.status == "diverged"
            self._failed += result.status == "failed"
            if names.Tag.FAILED_BEFORE in result.tags:
                self.tried_again.append(result.tags[names.Tag.FAILED_BEFORE])

    def look(self) -> tuple[float, str]:
        """The share of the estimated work that is done, and the trials in a line."""
        fraction = self._fraction()
        return fraction, self._line(fraction)

    def _fraction(self) -> float:
        total = sum(seconds for _, seconds, _ in self._jobs)
        done = 0.0
        for job, seconds, steps in self._jobs:
            ended = self._finished.issuperset(job.keys)
            done += seconds * (1.0 if ended else min(read_progress(job.progress_file).steps / steps, 1.0))
        return done / total if total else 1.0

    def _line(self, fraction: float) -> str:
        running = sum(
            read_progress(job.progress_file).diverged for job, _, _ in self._jobs if job.keys[0] not in self._finished
        )
        elapsed = time.monotonic() - self._started
        left = f", about {duration(elapsed * (1 - fraction) / fraction)} left" if fraction > 0.01 else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return (
            f"{len(self._finished)} of {self._trials} trials done, {self._diverged + running} diverged{failed}, "
            f"{fraction:.0%} of the work{left}"
        )
