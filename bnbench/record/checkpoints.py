"""Checkpoint files of half-trained packs: one per pack, named after its trials, and never half-written.

A file is a line of JSON (the trials' keys, the conditions under which it was made, the digest of the rest), followed by
what torch saved. Planning reads only the first line, to form the same pack again; training reads the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnbench.record.whole_file import replace_file


class CheckpointError(ValueError):
    """A checkpoint that training cannot resume from; the message says why."""


def path_for(folder: Path, keys: Sequence[str]) -> Path:
    """The path of the checkpoint of the pack that has these trials in this order."""
    return folder / f"{hashlib.sha256(' '.join(keys).encode()).hexdigest()[:16]}.checkpoint"


def write(path: Path, keys: Sequence[str], conditions: Mapping[str, str], payload: bytes) -> None:
    """Replace the file atomically, and return once it is on the disk.

    Args:
        path: From `path_for`.
        keys: The keys of the pack's trials.
        conditions: What the numbers depend on besides the configuration; under others, training does not resume.
        payload: The saved state.

    Raises:
        OSError: If the file cannot be written; it is then as it was before.
    """
    digest = hashlib.sha256(payload).hexdigest()
    header = json.dumps({"keys": [*keys], "conditions": {**conditions}, "digest": digest})
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, header.encode() + b"\n" + payload, durable=True)


def read(path: Path, conditions: Mapping[str, str]) -> bytes:
    """The saved state, the same bytes that were written.

    Raises:
        CheckpointError: If the file is damaged, or was made under other conditions.
        FileNotFoundError: If there is no such file.
    """
    line, _, payload = path.read_bytes().partition(b"\n")
    header = _header(path, line)
    if header["digest"] != hashlib.sha256(payload).hexdigest():
        raise CheckpointError(f"checkpoint {path} is damaged")
    if header["conditions"] != {**conditions}:
        raise CheckpointError(f"checkpoint {path} was made on {header['conditions']}, this is {dict(conditions)}")
    return payload


def begun_packs(folder: Path) -> list[list[str]]:
    """The keys of each pack that has a checkpoint, the newest first; files that cannot be read are skipped."""
    begun = []
    for path in folder.glob("*.checkpoint"):
        try:
            with path.open("rb") as file:
                begun.append((path.stat().st_mtime_ns, _header(path, file.readline())["keys"]))
        except (CheckpointError, OSError):
            continue
    return [keys for _, keys in sorted(begun, reverse=True)]


def remove(folder: Path, keys: Collection[str]) -> None:
    """Delete the checkpoints of packs all of whose trials are among `keys`, the finished ones."""
    for pack in begun_packs(folder):
        if set(pack) <= set(keys):
            path_for(folder, pack).unlink(missing_ok=True)


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        return {"keys": list(header["keys"]), "conditions": header["conditions"], "digest": header["digest"]}
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged") from error
