"""Reads idx files, the format of MNIST and of many sets made like it, raw or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bnbench.data.image_data import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 4


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 array in an idx file of a catalog set, read-only.

    The header is 0, 0, 8 (unsigned byte), the number of dimensions, then each length, big-endian. Whether
    the file is gzipped is read from its content, not from its name.

    Args:
        path: The file.
        shape: The shape it must hold: (M, H, W) for images, (M,) for labels.

    Raises:
        DataError: If the file cannot be read, is damaged, or holds anything else.
    """
    content = _content(path)
    magic = bytes([0, 0, 8, len(shape)])
    if content[:4] != magic:
        raise _refuse(path, f"starts with {content[:4].hex() or 'nothing'}, an idx file like it with {magic.hex()}")
    return _array(path, content, shape)


def read_any_idx(path: Path) -> np.ndarray:
    """The array in an idx file, of the type and shape that its header states, read-only.

    Raises:
        DataError: If the file cannot be read, is damaged, or is no idx file.
    """
    content = _content(path)
    known = len(content) >= 4 and content[:2] == b"\0\0" and content[2] in _TYPES and 1 <= content[3] <= _MOST_AXES
    if not known:
        raise DataError(f"{path} is no idx file: it starts with {content[:4].hex() or 'nothing'}")
    return _array(path, content, None)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _refuse(path, f"cannot be read ({error})") from error


def _array(path: Path, content: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
    ndim = content[3]
    dtype, header = np.dtype(_TYPES[content[2]]), 4 + 4 * ndim
    if len(content) < header:
        raise _refuse(path, "is truncated inside its header")
    found = struct.unpack(f">{ndim}I", content[4:header])
    if shape is not None and found != shape:
        raise _refuse(path, f"holds shape {found}, not {shape}")
    held = (len(content) - header) / dtype.itemsize
    if held != math.prod(found):
        raise _refuse(path, f"holds {held:g} values, its header says {math.prod(found)}")
    return np.frombuffer(content, dtype, offset=header).reshape(found)


def _refuse(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; delete it or put a whole copy there, or use data=mnist_5k, which needs no files")
