"""Loads CIFAR-10 and CIFAR-100 through torchvision, after checking each file's MD5, for they are pickles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bnbench.data.download import download_set, missing_data
from bnbench.data.image_data import DataError
from bnbench.tensors.vision_ops import ensure_torchvision


def load_cifar10(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (M, 3, 32, 32) in uint8, labels (M,) and a phrase for the source; training rows come before test rows.

    Raises:
        DataError: If the files are not found, or one of them is damaged.
    """
    dataset_class = _torchvision_class("CIFAR10")
    if home is None or not _complete(dataset_class, home):
        try:
            download_set("CIFAR10", home, allowed=download)
        except DataError as error:
            places = [home / dataset_class.base_folder] if home else []
            raise missing_data("cifar10", ", ".join(_md5_sums(dataset_class)), places, str(error)) from error.__cause__
    (images, labels), (test_images, test_labels) = (_part(dataset_class, home, train=train) for train in (True, False))
    source = f"torchvision's CIFAR-10 files in {home}"
    return np.concatenate([images, test_images]), np.concatenate([labels, test_labels]), source


def read_cifar100(home: Path) -> dict[str, np.ndarray]:
    """Images (M, 3, 32, 32) and fine labels (M,), to train and to test on, from the files in `home/cifar-100-python`.

    Raises:
        DataError: If a file is missing or damaged.
    """
    dataset_class = _torchvision_class("CIFAR100")
    if not _complete(dataset_class, home):
        raise DataError(
            f"{home / dataset_class.base_folder} lacks one of CIFAR-100's files: {', '.join(_md5_sums(dataset_class))}"
        )
    (images, labels), (test_images, test_labels) = (_part(dataset_class, home, train=train) for train in (True, False))
    return {"images": images, "labels": labels, "test_images": test_images, "test_labels": test_labels}


def _torchvision_class(name: str) -> Any:
    ensure_torchvision()
    from torchvision import datasets

    return getattr(datasets, name)


def _part(dataset_class: Any, home: Path | None, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    part = dataset_class(str(home), train=train)
    return part.data.transpose(0, 3, 1, 2), np.array(part.targets)  # from (M, H, W, C)


def _complete(dataset_class: Any, home: Path) -> bool:
    """Whether all files are in `home`. A damaged one is an error that names it; torchvision's names none."""
    from torchvision.datasets.utils import check_integrity

    files = {home / dataset_class.base_folder / file: md5 for file, md5 in _md5_sums(dataset_class).items()}
    for path, md5 in files.items():
        if os.path.isfile(path) and not check_integrity(str(path), md5):
            raise DataError(f"{path} is damaged (its MD5 is not {md5}); delete it and try again")
    return all(os.path.isfile(path) for path in files)


def _md5_sums(dataset_class: Any) -> dict[str, str]:
    return {
        **dict(dataset_class.train_list + dataset_class.test_list),
        dataset_class.meta["filename"]: dataset_class.meta["md5"],
    }
