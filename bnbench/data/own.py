"""Data sets that a user brings: from a function, a folder of image files, or arrays in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnbench.config import DataConfig
from bnbench.config.factory import call, factory, one_line
from bnbench.data.array_files import read_arrays
from bnbench.data.catalog import DATASETS, DatasetInfo
from bnbench.data.image_data import DataError, ImageData
from bnbench.data.image_folder import read_folder
from bnbench.data.load import load_data
from bnbench.data.own_arrays import image_data
from bnbench.data.splits import largest_class, split_data


def dataset_info(data: DataConfig) -> DatasetInfo:
    """What a plan needs to know of a data set, from the catalog or, for one that the user brings, from its images.

    Raises:
        DataError: If the name is unknown, or the user's images cannot be loaded; one line.
    """
    if data.name in OWN:
        return _info(load_own(data))
    if data.name not in DATASETS:
        raise DataError(f"data={data.name} is unknown; allowed: {', '.join([*DATASETS, *OWN])}")
    return DATASETS[data.name]


def load_images(data: DataConfig, cache_dir: Path) -> ImageData:
    """The images that a configuration names, from the catalog or brought by the user.

    Raises:
        DataError: If they cannot be loaded; one line.
        ConfigError: If `data.factory` names no function; one line.
    """
    if data.name in OWN:
        return load_own(data)
    root = None if data.root is None else Path(data.root).expanduser().absolute()
    return load_data(data.name, root=root, cache_dir=cache_dir, download=data.download)


def load_own(data: DataConfig) -> ImageData:
    """A data set that the user brings, loaded once in a process.

    Raises:
        DataError: If it cannot be loaded, or is no data set; one line.
        ConfigError: If `data.factory` names no function; one line.
    """
    return OWN[data.name].load(data)


@cache
def _info(images: ImageData) -> DatasetInfo:
    split = split_data(images, kind="fixed", seed=0)
    return DatasetInfo(
        summary=images.source,
        shape=images.shape,
        classes=images.classes,
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        largest_class=largest_class(images.labels[split.test]),
        official_test=images.official_test > 0,
        checksum=images.checksum,
        notes=(_content(images), *images.notes),
    )


def _content(images: ImageData) -> str:
    """A phrase that says how many images a data set has, of which shape and values, in how many classes."""
    C, H, W = images.shape
    counts = np.bincount(images.labels, minlength=images.classes)
    per_class = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    return (
        f"{len(images.labels):,} images of {C} channel{'' if C == 1 else 's'}, {H} x {W}, with values "
        f"{images.images.min()} to {images.images.max()}, in {images.classes:,} classes of {per_class}"
    )


@cache
def _custom(name: str | None) -> ImageData:
    source = f"data.factory={name}"
    arrays = call(factory("data.factory", name), {}, DataError, f"{source} failed")
    if not isinstance(arrays, Mapping):
        raise DataError(f"{source} returned {type(arrays).__name__}; it must be a dict with images and labels")
    return image_data("custom", {str(key): np.asarray(value) for key, value in arrays.items()}, source)


@cache
def _array_file(path: Path) -> ImageData:
    try:
        arrays, notes = read_arrays(path)
    except OSError as error:  # for example: no permission
        raise DataError(f"data.path={path} cannot be read: {one_line(error)}") from error
    return image_data("arrays", arrays, f"data.path={path}", notes=notes)


@cache
def _folder(root: Path, size: int | None) -> ImageData:
    try:
        return read_folder(root, size)
    except OSError as error:  # for example: no permission
        raise DataError(f"data.root={root} cannot be read: {one_line(error)}") from error


def _path(key: str, name: str, value: str | None) -> Path:
    if value is None:
        raise DataError(f"data={name} needs {key}; give it")
    return Path(value).expanduser().absolute()


class OwnData(NamedTuple):
    """A way in which a user brings a data set.

    Attributes:
        summary: One line for `bnbench list`.
        load: Loads the images that the section `data` of a configuration names.
    """

    summary: str
    load: Callable[[DataConfig], ImageData]


OWN = {
    "custom": OwnData(
        "your own function's images, data.factory=package.module:function", lambda data: _custom(data.factory)
    ),
    "folder": OwnData(
        "your own image files, data.root=FOLDER with a folder for each class",
        lambda data: _folder(_path("data.root", data.name, data.root), data.image_size),
    ),
    "arrays": OwnData(
        "your own arrays, data.path=FILE.npz with images and labels, or idx files",
        lambda data: _array_file(_path("data.path", data.name, data.path)),
    ),
}
"""The ways in which a user brings a data set, by the names that `data=` takes for them."""
