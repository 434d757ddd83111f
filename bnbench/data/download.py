"""Lets torchvision fetch a data set, and says in one line what to do when that fails."""

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

_TIMEOUT_SECONDS = 10.0  # for each connection and each read, not for the whole


def download_set(torchvision_class: str, home: Path | None, *, allowed: bool) -> None:
    """Have torchvision download one of its data sets into `home`, unless it is there.

    Raises:
        DataError: With the bare reason, for `missing_data` to complete.
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
    """The error for data that are nowhere: what was looked for, where, and the ways out, as installing a package."""
    where = ", ".join(map(str, places)) or "any folder, as data.root is not set"
    install = f" install {package}," if package else ""
    return MissingDataError(
        f"data={name}: {files} not found together in {where}; {reason}; put the files in a "
        f"folder and name it in data.root,{install} download on a machine with network, or use data=mnist_5k, "
        f"which needs no files"
    )


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    """torchvision gives its connections no timeout, and a dropped packet would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
