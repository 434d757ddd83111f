"""CIFAR-10 through torchvision, which checks the MD5 of every file before it unpickles one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bnbench.data.download import download_set, missing_data
from bnbench.data.image_data import DataError
from bnbench.vision_ops import ensure_torchvision

__all__ = ["load_cifar10"]


def load_cifar10(home: Path | None, *, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (M, 3, 32, 32), labels (M,) and the source: training rows, then test rows.

    Raises:
        DataError: If the files are nowhere, or one of them is damaged.
    """
    ensure_torchvision()
    from torchvision.datasets import CIFAR10

    if home is None or not _complete(home):
        try:
            download_set("CIFAR10", home, allowed=download)
        except DataError as error:
            places = [home / CIFAR10.base_folder] if home else []
            raise missing_data("cifar10", ", ".join(_md5_sums()), places, str(error)) from error.__cause__

    parts = [CIFAR10(str(home), train=train) for train in (True, False)]
    images = np.concatenate([part.data for part in parts])  # (M, H, W, C)
    labels = np.concatenate([part.targets for part in parts])
    return images.transpose(0, 3, 1, 2), labels, f"torchvision's CIFAR-10 files in {home}"


def _complete(home: Path) -> bool:
    """Whether all files are there; a damaged one is named (torchvision says "not found or corrupted")."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    files = {home / CIFAR10.base_folder / file: md5 for file, md5 in _md5_sums().items()}
    for path, md5 in files.items():
        if os.path.isfile(path) and not check_integrity(path, md5):
            raise DataError(f"{path} is damaged (its MD5 is not {md5}); delete it and try again")
    return all(os.path.isfile(path) for path in files)


def _md5_sums() -> dict[str, str]:
    from torchvision.datasets import CIFAR10

    return {**dict(CIFAR10.train_list + CIFAR10.test_list), CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}
