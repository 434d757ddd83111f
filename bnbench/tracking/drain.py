"""Delivers spooled results to the tracking store from a background thread, while training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from bnbench.results import TrialResult
from bnbench.tracking import spool
from bnbench.tracking.errors import SpoolError, TrackingError, one_line

__all__ = ["Drain"]

_LONGEST_PAUSE_SECONDS = 30.0
_GIVE_UP_AFTER = 2  # files refused in one round: it is the store, not the file


class _Recorder(Protocol):
    """What a drain needs of a store."""

    def record(self, results: list[TrialResult], sweep_run_id: str | None) -> None: ...


class Drain:
    """Empties the spool folder into the store; a context manager that flushes at its end.

    A file is deleted after the store has it. While the store refuses, files are kept and tried again
    with growing pauses. A damaged file is renamed to `*.corrupt`, and reported at the end.

    Args:
        store: Where results go.
        folder: The spool folder; files that an earlier, killed run left there are delivered too.
        sweep_run_id: The run of the sweep that trains, or None.
        on_result: Called once for each result when its file is first seen, mostly from the drain's thread,
            whether or not the store takes it: progress does not wait for tracking.
        period_seconds: Between two looks at the folder.
    """

    def __init__(
        self,
        store: _Recorder,
        folder: Path,
        sweep_run_id: str | None,
        *,
        on_result: Callable[[TrialResult], None] | None = None,
        period_seconds: float = 0.5,
    ) -> None:
        self._store = store
        self._folder = folder
        self._sweep_run_id = sweep_run_id
        self._on_result = on_result
        self._period_seconds = period_seconds
        self._seen: set[Path] = set()
        self._damaged: list[str] = []
        self._refusal: TrackingError | None = None
        self._one_round = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bnbench-drain", daemon=True)

    def __enter__(self) -> Drain:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        try:
            self.flush()
        except TrackingError as undelivered:
            if error is None:
                raise
            error.add_note(str(undelivered))  # what ended the training matters more

    def flush(self) -> None:
        """Deliver everything left, now.

        Raises:
            TrackingError: If files are left or were damaged; it says where they are.
        """
        problems = []
        if not self._deliver():
            left = len(spool.pending(self._folder))
            problems.append(
                f"{left} file(s) of finished results could not be recorded and are kept in {self._folder}; "
                f"the next start delivers them: {self._refusal}"
            )
        if self._damaged:
            problems.append("results that cannot be read were set aside: " + "; ".join(self._damaged))
        if problems:
            raise TrackingError("; ".join(problems))

    def _run(self) -> None:
        pause_seconds = self._period_seconds
        while not self._stopping.wait(pause_seconds):
            delivered = self._deliver()
            pause_seconds = self._period_seconds if delivered else min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _deliver(self) -> bool:
        """One round over the files; whether all of them are gone."""
        with self._one_round:
            refused = 0
            for path in spool.pending(self._folder):
                try:
                    self._deliver_file(path)
                except TrackingError as error:
                    self._refusal = error
                    refused += 1
                    if refused == _GIVE_UP_AFTER:
                        break
                except FileNotFoundError:  # another process delivered it
                    continue
            return refused == 0

    def _deliver_file(self, path: Path) -> None:
        try:
            results = spool.read(path)
        except SpoolError as error:
            self._set_aside(path, error)
            return
        if path not in self._seen:
            self._seen.add(path)
            for result in results:
                if self._on_result is not None:
                    self._on_result(result)
        try:
            self._store.record(results, self._sweep_run_id)
        except ValueError as error:  # readable, and not a result: a number is not finite
            self._set_aside(path, error)
        else:
            spool.remove(path)

    def _set_aside(self, path: Path, error: ValueError) -> None:
        self._damaged.append(f"{spool.set_aside(path)} ({one_line(error)})")
