"""Keeps finished results on disk until the tracking store has them: one file a pack, a JSON line a trial.

Workers write, in other processes and maybe on other hosts that share the disk; the parent's `Drain` reads.
Each tracking store has a folder of its own: what is meant for a server that is away must not end up elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bnbench.record.results import TrialResult
from bnbench.record.whole_file import replace_file
from bnbench.tracking.address import Address
from bnbench.tracking.errors import SpoolError, TrackingError, one_line

_ADDRESS = "address.txt"
_PROBE_BYTES = 2**16  # about what a pack's results take


def folder_of(runs_dir: Path, address: Address, experiment: str) -> Path:
    """Where results wait for this store's experiment."""
    return runs_dir / "spool" / hashlib.sha256(_store(runs_dir, address, experiment).encode()).hexdigest()[:8]


def make_folder(runs_dir: Path, address: Address, experiment: str) -> Path:
    """`folder_of`, made if absent, with a note of whose it is.

    Raises:
        TrackingError: If it cannot be made.
    """
    folder = folder_of(runs_dir, address, experiment)
    with _said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _ADDRESS).exists():
            replace_file(folder / _ADDRESS, f"{_store(runs_dir, address, experiment)}\n")
    return folder


def waiting(runs_dir: Path) -> dict[str, int]:
    """How many trials wait for which store, by its address and experiment; of any sweep."""
    found = {}
    for note in sorted((runs_dir / "spool").glob(f"*/{_ADDRESS}")):
        lines = [path.read_bytes().count(b"\n") for path in pending(note.parent)]
        if lines:
            found[note.read_text(encoding="utf-8").strip()] = sum(lines)
    return found


def check_writable(folder: Path) -> None:
    """See that a pack's results can be written, before they are trained.

    Raises:
        TrackingError: If they cannot: a full disk, say, or a folder that is read-only.
    """
    probe = folder / f".{uuid.uuid4().hex}.draft"
    with _said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(probe, " " * _PROBE_BYTES, durable=True)
        probe.unlink()


def write(folder: Path, results: list[TrialResult]) -> Path:
    """The new file with a pack's results; whole and on the disk once its name can be seen.

    Raises:
        ValueError: If there are no results, or a number in them is not finite.
        TrackingError: If the disk does not take it.
    """
    if not results:
        raise ValueError("a spool file needs at least one result")
    text = "".join(f"{result.to_json()}\n" for result in results)
    path = folder / f"{results[0].key}-{uuid.uuid4().hex}.jsonl"
    with _said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, text, durable=True)
    return path


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process alone delivers the file; another that does holds it until it ends, however it ends.

    Raises:
        FileNotFoundError: If another process has delivered it.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            path.stat()  # raises if another process delivered it just before
            yield True


def pending(folder: Path) -> list[Path]:
    """The files not yet delivered, oldest first."""
    found = []
    for path in folder.glob("*.jsonl"):
        try:
            found.append((path.stat().st_mtime_ns, path.name, path))
        except FileNotFoundError:  # delivered by another process since it was listed
            continue
    return [path for *_, path in sorted(found)]


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


def read_all(folder: Path) -> list[TrialResult]:
    """The results in all files that can be read, oldest first."""
    results: list[TrialResult] = []
    for path in pending(folder):
        with suppress(SpoolError, FileNotFoundError):
            results += read(path)
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


def _store(runs_dir: Path, address: Address, experiment: str) -> str:
    shown = address.shown
    if address.database and address.database.parent == runs_dir.resolve():
        shown = address.database.name  # which moves with runs_dir
    return f"{shown} {experiment}"


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrackingError(
            f"results cannot be written to {folder} ({error.strerror or error}); make room or set runs_dir to another "
            "place; the same command again trains only what is missing"
        ) from error
