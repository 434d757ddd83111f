"""Reads idx files, raw or gzipped: the format of MNIST and of many data sets made after it."""

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
    """The uint8 array in an idx file of a data set of the catalog, read-only.

    The header is 0, 0, 8 (unsigned byte), the number of dimensions, then the length of each, big-endian.
    Whether the file is gzipped is decided by its content, not by its name.

    Args:
        path: The file.
        shape: The shape the array must have: (M, H, W) for images, (M,) for labels.

    Raises:
        DataError: If the file cannot be read, is damaged, or holds another type or shape.
    """
    content = _content(path)
    magic = bytes([0, 0, 8, len(shape)])
    if content[:4] != magic:
        raise _refuse(
            path,
            f"starts with {content[:4].hex() or 'nothing'}, not with {magic.hex()} as an idx file of this shape does",
        )
    return _array(path, content, shape)


def read_any_idx(path: Path) -> np.ndarray:
    """The array in an idx file, of the type and shape that its header states, read-only.

    Raises:
        DataError: If the file cannot be read, is damaged, or is no idx file.
    """
    content = _content(path)
    is_idx = len(content) >= 4 and content[:2] == b"\0\0" and content[2] in _TYPES and 1 <= content[3] <= _MOST_AXES
    if not is_idx:
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
    stated_shape = struct.unpack(f">{ndim}I", content[4:header])
    if shape is not None and stated_shape != shape:
        raise _refuse(path, f"holds shape {stated_shape}, not {shape}")
    values = (len(content) - header) / dtype.itemsize
    if values != math.prod(stated_shape):
        raise _refuse(path, f"holds {values:g} values, its header says {math.prod(stated_shape)}")
    return np.frombuffer(content, dtype, offset=header).reshape(stated_shape)


def _refuse(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} {reason}; delete it or put a whole copy there, or use data=mnist_5k, which needs no files"
    )
