"""Reads idx files, the format of MNIST and Fashion-MNIST, raw or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bnbench.data.image_data import DataError

__all__ = ["read_idx"]


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 array in an idx file, read-only.

    The header is 0, 0, 8 (unsigned byte), the number of dimensions, then each length, big-endian. Whether
    the file is gzipped is read from its content, not from its name.

    Args:
        path: The file.
        shape: The shape it must hold: (M, H, W) for images, (M,) for labels.

    Raises:
        DataError: If the file cannot be read, is damaged, or holds anything else.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _refuse(path, f"cannot be read ({error})") from error

    ndim = len(shape)
    magic, header = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    if content[:4] != magic:
        raise _refuse(path, f"starts with {content[:4].hex() or 'nothing'}, an idx file like it with {magic.hex()}")
    if len(content) < header:
        raise _refuse(path, "is truncated inside its header")
    found = struct.unpack(f">{ndim}I", content[4:header])
    if found != shape:
        raise _refuse(path, f"holds shape {found}, not {shape}")
    if len(content) - header != math.prod(shape):
        raise _refuse(path, f"holds {len(content) - header} values, its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _refuse(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; delete it or put a whole copy there, or use data=mnist_5k, which needs no files")
