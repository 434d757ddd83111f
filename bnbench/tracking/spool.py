"""Keeps finished results on disk until the tracking store has them: one file a pack, a JSON line a trial.

Workers write, in other processes and maybe on other hosts that share the disk; the parent's `Drain` reads.
Each tracking store has a folder of its own: what is meant for a server that is away must not end up elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bnbench.config.workspace import Workspace
from bnbench.record.results import TrialResult
from bnbench.record.whole_file import replace_file
from bnbench.tracking.errors import SpoolError, TrackingError, one_line

_ADDRESS = "address.txt"
_PROBE_BYTES = 2**16  # about what a pack's results take


@dataclass(frozen=True)
class Spool:
    """The results that wait for one experiment of one tracking store.

    Attributes:
        folder: Where their files are. Only `made_for` makes it: on a host that does not share it, there is nobody who
            would read what is written there.
    """

    folder: Path

    @classmethod
    def of(cls, workspace: Workspace) -> Spool:
        """The results that wait for a workspace's store."""
        digest = hashlib.sha256(_store_in_words(workspace).encode()).hexdigest()
        return cls(workspace.spools / digest[:8])

    @classmethod
    def made_for(cls, workspace: Workspace) -> Spool:
        """As `of`; makes its folder, with a note in it that says which store the results are for.

        Raises:
            TrackingError: If the folder cannot be made.
        """
        spool = cls.of(workspace)
        with spool._reported():
            spool.folder.mkdir(parents=True, exist_ok=True)
            if not (spool.folder / _ADDRESS).exists():
                replace_file(spool.folder / _ADDRESS, f"{_store_in_words(workspace)}\n")
        return spool

    def check_writable(self) -> None:
        """See that a pack's results can be written, before they are trained.

        Raises:
            TrackingError: If they cannot: a full disk, say, or a folder that is read-only or not on this host.
        """
        probe = self.folder / f".{uuid.uuid4().hex}.draft"
        with self._reported():
            replace_file(probe, " " * _PROBE_BYTES, durable=True)
            probe.unlink()

    def write(self, results: list[TrialResult]) -> Path:
        """The new file with a pack's results; whole and on the disk once its name can be seen.

        Raises:
            ValueError: If there are no results, or a number in them is not finite.
            TrackingError: If the disk does not take it.
        """
        if not results:
            raise ValueError("a spool file needs at least one result")
        text = "".join(f"{result.to_json()}\n" for result in results)
        path = self.folder / f"{results[0].key}-{uuid.uuid4().hex}.jsonl"
        with self._reported():
            replace_file(path, text, durable=True)
        return path

    def pending(self) -> list[Path]:
        """The files not yet delivered, oldest first."""
        aged = []
        for path in self.folder.glob("*.jsonl"):
            try:
                aged.append((path.stat().st_mtime_ns, path.name, path))
            except FileNotFoundError:  # delivered by another process since it was listed
                continue
        return [path for *_, path in sorted(aged)]

    def read_all(self) -> list[TrialResult]:
        """The results in all files that can be read, oldest first."""
        results: list[TrialResult] = []
        for path in self.pending():
            with suppress(SpoolError, FileNotFoundError):
                results += read(path)
        return results

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Raise the system's errors of writing as `TrackingError`."""
        try:
            yield
        except FileNotFoundError as error:
            raise TrackingError(
                f"results cannot be written to {self.folder}, which is not on host {socket.gethostname()}; "
                "hydra/launcher=ray and hydra/launcher=slurm train on hosts that do not share runs_dir"
            ) from error
        except OSError as error:
            raise TrackingError(
                f"results cannot be written to {self.folder} ({error.strerror or error}); make room or set runs_dir to "
                "another place; the same command again trains only what is missing"
            ) from error


def waiting_results(workspace: Workspace) -> dict[str, int]:
    """How many trials of any sweep wait for which store, by its address and experiment."""
    waiting = {}
    for note in sorted(workspace.spools.glob(f"*/{_ADDRESS}")):
        lines = [path.read_bytes().count(b"\n") for path in Spool(note.parent).pending()]
        if lines:
            waiting[note.read_text(encoding="utf-8").strip()] = sum(lines)
    return waiting


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process alone delivers the file; another process that delivers it holds a lock until it ends.

    Raises:
        FileNotFoundError: If another process has delivered it.
        TrackingError: If the disk keeps no locks.
    """
    with path.open("r+b") as file:  # on NFS, a lock of one's own takes a file that can be written
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError as error:
            raise TrackingError(f"{path} cannot be locked ({error.strerror}); set runs_dir to another disk") from error
        else:
            path.stat()  # raises if another process delivered it just before
            yield True


def read(path: Path) -> list[TrialResult]:
    """The results in a file.

    Raises:
        SpoolError: If the file is damaged.
        FileNotFoundError: If another process has delivered it.
    """
    content = path.read_bytes()
    try:
        results = [TrialResult.from_json(line) for line in content.decode().splitlines()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SpoolError(f"{path} is damaged: {one_line(error)}") from error
    if not results:
        raise SpoolError(f"{path} is damaged: it is empty")
    return results


def remove(path: Path) -> None:
    """Forget a delivered file."""
    path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be delivered to `*.corrupt`, where nothing reads it again.

    Returns:
        Its new path.
    """
    return path.rename(path.with_name(f"{path.name}.corrupt"))


def _store_in_words(workspace: Workspace) -> str:
    """A store's address and experiment; one that lies in `runs_dir` moves with it, so its folder is not named."""
    address, shown = workspace.address, workspace.address.shown
    if address.database and address.database.parent == workspace.runs_dir.resolve():
        shown = address.database.name
    return f"{shown} {workspace.experiment}"
