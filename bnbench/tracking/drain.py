"""Delivers spooled results to the tracking store from a background thread, while training goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from bnbench.record.results import TrialResult
from bnbench.tracking import spool
from bnbench.tracking.errors import SpoolError, TrackingError, UndeliveredError, one_line
from bnbench.tracking.spool import Spool

_LONGEST_PAUSE_SECONDS = 30.0
_GIVE_UP_AFTER = 2  # files refused in one round, for then the store refuses all and not one file
_LAST_PAUSE_SECONDS = 2.0
_INTERRUPTED_SECONDS = 1.5


class _Recorder(Protocol):
    """What a drain needs of a store."""

    def record(self, results: list[TrialResult], sweep_run_id: str | None) -> None: ...


class Drain:
    """Empties a spool into the store; a context manager that flushes at its end.

    A file is deleted after the store has it. While the store refuses, files are kept and tried again
    with growing pauses. A damaged file is renamed to `*.corrupt`, and reported at the end.

    Where an exception ends the context, the store gets no more than a moment: what it has not taken by then stays
    in the spool.

    Args:
        store: Where results go.
        results: The spool; files that an earlier, killed run left in it are delivered too.
        sweep_run_id: The run of the sweep that trained results that do not say it themselves, or None.
        on_result: Called once for each result when its file is first seen, mostly from the drain's thread,
            whether or not the store takes it: progress does not wait for tracking.
        period_seconds: Between two looks at the folder.
        patience_seconds: How long a store that refuses is asked again at the end.
        sync: The command that delivers what is left, to be told.

    Attributes:
        seen: Keys of the results in files seen so far.
        delivered: How many results the store has taken.
    """

    def __init__(
        self,
        store: _Recorder,
        results: Spool,
        sweep_run_id: str | None = None,
        *,
        on_result: Callable[[TrialResult], None] | None = None,
        period_seconds: float = 0.5,
        patience_seconds: float = 60.0,
        sync: str = "python -m bnbench sync",
    ) -> None:
        self._store = store
        self._spool = results
        self._sweep_run_id = sweep_run_id
        self._on_result = on_result
        self._period_seconds = period_seconds
        self._patience_seconds = patience_seconds
        self._sync = sync
        self._files: set[Path] = set()
        self._damaged: list[str] = []
        self._refusal: TrackingError | None = None
        self._one_round = threading.Lock()
        self._one_look = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bnbench-drain", daemon=True)
        self.seen: set[str] = set()
        self.delivered = 0

    def __enter__(self) -> Drain:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if error is None:
            self._thread.join()
            self.flush()
            return
        self._thread.join(_INTERRUPTED_SECONDS)  # it goes once more over the files
        left = len(self._spool.pending())
        if left:
            error.add_note(
                f"{left} file(s) of finished results are kept in {self._spool.folder}; "
                "the same command again delivers them"
            )

    def flush(self) -> None:
        """Deliver everything left; a store that refuses is asked again for `patience_seconds`.

        Raises:
            UndeliveredError: If files are left or were damaged; it says where they are.
        """
        problems = []
        deadline = time.monotonic() + self._patience_seconds
        while not (delivered := self._deliver()) and time.monotonic() < deadline:
            time.sleep(min(_LAST_PAUSE_SECONDS, self._period_seconds))
        if not delivered:
            left = len(self._spool.pending())
            problems.append(
                f"{left} file(s) of finished results could not be recorded and are kept in {self._spool.folder}; "
                f"`{self._sync}`, or the next start, delivers them: {self._refusal}"
            )
        if self._damaged:
            problems.append("results that cannot be read were set aside: " + "; ".join(self._damaged))
        if problems:
            raise UndeliveredError("; ".join(problems))

    def look(self) -> None:
        """Take note of new files, whether or not the store takes them."""
        for path in self._spool.pending():
            if path not in self._files:
                try:
                    results = spool.read(path)
                except (SpoolError, FileNotFoundError):  # a damaged file is for `_deliver`
                    continue
                self._take_note(path, results)

    def _take_note(self, path: Path, results: Sequence[TrialResult]) -> None:
        with self._one_look:
            if path in self._files:
                return
            self._files.add(path)
            for result in results:
                self.seen.add(result.key)
                if self._on_result is not None:
                    self._on_result(result)

    def _run(self) -> None:
        pause_seconds = self._period_seconds
        looked = time.monotonic()
        while not self._stopping.wait(self._period_seconds):
            self.look()
            if time.monotonic() - looked >= pause_seconds:
                delivered = self._deliver()
                pause_seconds = self._period_seconds if delivered else min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
                looked = time.monotonic()
        self._deliver()

    def _deliver(self) -> bool:
        """One round over the files; whether all of them are gone."""
        self.look()
        with self._one_round:
            refused = 0
            for path in self._spool.pending():
                try:
                    with spool.claimed(path) as mine:
                        if not mine:
                            raise TrackingError("another process is delivering it")
                        self._deliver_file(path)
                except TrackingError as error:
                    self._refusal = error
                    refused += 1
                    if refused == _GIVE_UP_AFTER:
                        break
                except FileNotFoundError:  # another process has delivered it
                    continue
            return refused == 0

    def _deliver_file(self, path: Path) -> None:
        try:
            results = spool.read(path)
            self._store.record(results, self._sweep_run_id)
        except ValueError as error:  # damaged, or readable and not a result: a number is not finite
            self._damaged.append(f"{spool.set_aside(path)} ({one_line(error)})")
        else:
            self.delivered += len(results)
            self._take_note(path, results)  # it may have come after the last look, and is gone before the next
            spool.remove(path)
