"""Saves arrays that are slow to make in a file, safely against crashes, damage and other processes."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnbench.record.whole_file import replace_file

_DIGEST_BYTES = 64  # the file is a SHA-256 in hex, then an .npz with exactly that digest

Arrays = dict[str, np.ndarray]


def cached(path: Path | None, build: Callable[[], Arrays]) -> Arrays:
    """The arrays saved in `path`; if there are none, those that `build` makes, which are then saved there.

    A damaged file is never parsed: it is replaced, with a warning. If the folder cannot be written to, there is a
    warning, and the next call builds the arrays again.

    Args:
        path: The file; with None the arrays are built every time.
        build: Makes the arrays.
    """
    if path is None:
        return build()
    arrays = _read(path)
    if arrays is None:
        arrays = build()
        _write(path, arrays)
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warnings.warn(f"cache {path} cannot be read ({error}); building its content again", stacklevel=3)
        return None
    payload = content[_DIGEST_BYTES:]
    if content[:_DIGEST_BYTES] != hashlib.sha256(payload).hexdigest().encode():
        warnings.warn(f"cache {path} is damaged; building it again", stacklevel=3)
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def _write(path: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    payload = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, hashlib.sha256(payload).hexdigest().encode() + payload)
    except OSError as error:
        warnings.warn(f"cache {path} cannot be written ({error}); the next load is slow too", stacklevel=3)
