"""Downloads a data set through torchvision; if that fails, one line says what to do."""

from __future__ import annotations

import socket
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from bnbench.data.image_data import DataError, MissingDataError
from bnbench.tensors.vision_ops import ensure_torchvision

_TIMEOUT_SECONDS = 10.0  # for each connection and each read, not for the whole download


def download_set(torchvision_class: str, home: Path | None, *, allowed: bool) -> None:
    """Have torchvision download one of its data sets into `home`, unless its files are there.

    Raises:
        DataError: If nothing could be downloaded. It states the reason alone, which `missing_data` puts in a sentence.
    """
    if not allowed:
        raise DataError("downloading is switched off")
    if home is None:
        raise DataError("there is no folder to download to (neither data.root nor a cache is set)")
    ensure_torchvision()
    from torchvision import datasets

    try:
        with _network_timeout(_TIMEOUT_SECONDS):
            getattr(datasets, torchvision_class)(str(home), download=True)
    except (OSError, RuntimeError, HTTPException, EOFError, tarfile.TarError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"the download to {home} failed ({reason})") from error


def missing_data(name: str, files: str, places: Sequence[Path], reason: str, package: str = "") -> MissingDataError:
    """The error for files that were not found: which files, in which folders, why none were downloaded, and what to do.

    Args:
        name: The data set.
        files: The names of its files, as one phrase.
        places: The folders where they were looked for.
        reason: Why they were not downloaded.
        package: A system package that installs them; empty if there is none.
    """
    where = ", ".join(map(str, places)) or "any folder, as data.root is not set"
    install = f" install {package}," if package else ""
    return MissingDataError(
        f"data={name}: {files} not found together in {where}; {reason}; put the files in a "
        f"folder and name it in data.root,{install} download on a machine with network, or use data=mnist_5k, "
        f"which needs no files"
    )


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    """Set a timeout for connections: torchvision sets none, and would wait for minutes if a packet is lost."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
