"""Loads MNIST and Fashion-MNIST from their four idx files, wherever those lie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bnbench.data.catalog import DATASETS
from bnbench.data.download import download_set, missing_data
from bnbench.data.idx import read_idx
from bnbench.data.image_data import DataError

_DEBIAN = "Debian's package dataset-fashion-mnist"
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load_mnist(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (70000, 1, 28, 28) in uint8, labels (70000,) and a phrase for the source; training rows come first.

    Of `home`, `home/raw` and torchvision's folder inside `home`, the first that has all four files is read, each raw or
    `.gz`. A damaged file is an error; the other folders are not tried then.

    Raises:
        DataError: If the files are not found, or damaged.
    """
    return _load("mnist", "MNIST", home, download)


def load_fashion_mnist(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """As `load_mnist`, but the folder of Debian's package is tried too, after those in `home`.

    Raises:
        DataError: If the files are not found, or damaged.
    """
    return _load("fashion_mnist", "FashionMNIST", home, download, _DEBIAN_FOLDER, _DEBIAN)


def _load(
    name: str,
    torchvision_class: str,
    home: Path | None,
    download: bool,
    system_folder: Path | None = None,
    package: str = "",
) -> tuple[np.ndarray, np.ndarray, str]:
    places = [home, home / "raw", home / torchvision_class / "raw"] if home else []
    places += [system_folder] if system_folder else []
    files = _find(places)
    if files is None:
        try:
            download_set(torchvision_class, home, allowed=download)
        except DataError as error:
            file_names = f"{', '.join(_FILES)} (raw or .gz)"
            raise missing_data(name, file_names, places, str(error), package) from error.__cause__
        files = _find(places)
        assert files is not None, "torchvision wrote its files elsewhere"

    info = DATASETS[name]
    train, test = info.train + info.val, info.test
    size = info.shape[1:]
    shapes = [(train, *size), (train,), (test, *size), (test,)]
    arrays = [read_idx(path, shape) for path, shape in zip(files, shapes, strict=True)]
    images = np.concatenate(arrays[0::2])[:, None]  # (M, 1, H, W)
    return images, np.concatenate(arrays[1::2]), f"idx files in {files[0].parent}"


def _find(places: list[Path]) -> list[Path] | None:
    for place in places:
        paths = [path for file in _FILES if (path := _raw_or_gz(place / file))]
        if len(paths) == len(_FILES):
            return paths
    return None


def _raw_or_gz(path: Path) -> Path | None:
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if os.path.isfile(p)), None)
