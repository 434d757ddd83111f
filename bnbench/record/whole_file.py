"""Writes files so that a reader finds the old content or the new one, never a part, even if the writer is killed."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Give a file this content, in place of what it had.

    Args:
        path: The file, in a folder that exists.
        content: Text is written as UTF-8, its line ends as they are.
        durable: Whether the content and the name survive a power failure once this returns.

    Raises:
        OSError: If the file cannot be written; it is then as it was before.
    """
    with draft_of(path, durable=durable) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def draft_of(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A new path beside `path`: what the block puts there takes the place of `path` when the block ends well.

    Where the block raises, the draft is removed and `path` is as it was. The arguments are those of `replace_file`.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.draft")
    try:
        yield draft
        if durable:
            _sync(draft)
        os.replace(draft, path)  # atomic
        if durable:
            _sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def drafts_of(path: Path) -> Iterator[Path]:
    """The drafts of a file that exist now, of writers at work or killed, and files named after such a draft."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.draft*")


def _sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
