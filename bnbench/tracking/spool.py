"""Keeps finished results on disk until the tracking store has them: one file a pack, a JSON line a trial.

Workers write, in other processes and maybe on other hosts that share the disk; the parent's `Drain` reads.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from bnbench.results import TrialResult
from bnbench.tracking.errors import SpoolError, one_line

__all__ = ["pending", "read", "remove", "set_aside", "write"]


def write(folder: Path, results: list[TrialResult]) -> Path:
    """The new file with a pack's results; whole and on the disk once its name can be seen.

    Raises:
        ValueError: If there are no results, or a number in them is not finite.
    """
    if not results:
        raise ValueError("a spool file needs at least one result")
    text = "".join(f"{result.to_json()}\n" for result in results)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results[0].key}-{uuid.uuid4().hex}.jsonl"
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    _sync(folder)
    return path


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


def remove(path: Path) -> None:
    """Forget a delivered file."""
    path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be delivered to `*.corrupt`, where nothing reads it again.

    Returns:
        Its new path.
    """
    return path.rename(path.with_name(f"{path.name}.corrupt"))


def _sync(folder: Path) -> None:
    """Put a renamed file's name on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
