"""Data sets of the user's own: a function's, an image folder's, or arrays in a file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bnbench.config import DataConfig
from bnbench.data.catalog import DATASETS, DatasetInfo
from bnbench.data.image_data import DataError, ImageData
from bnbench.data.load import load_data
from bnbench.data.splits import largest_class, split_data
from bnbench.factory import factory, one_line

__all__ = ["OWN", "dataset_info", "load_images", "load_own"]

OWN = {
    "custom": "your own function's images, data.factory=package.module:function",
    "folder": "your own image files, data.root=FOLDER with a folder for each class",
    "arrays": "your own arrays, data.path=FILE.npz with images and labels",
}

_FEWEST = 10  # of which one validates and two test
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
_GRAY = {"1", "L"}

Arrays = Mapping[str, np.ndarray]


def dataset_info(data: DataConfig) -> DatasetInfo:
    """What a plan needs to know of a data set: from the catalog, or of the user's own from its images.

    Raises:
        DataError: If the images are not to be had; one line.
    """
    if data.name not in OWN:
        return DATASETS[data.name]
    return _info(load_own(data))


def load_images(data: DataConfig, cache_dir: Path) -> ImageData:
    """The images that a configuration names, the user's own or from the catalog.

    Raises:
        DataError: If they are not to be had; one line.
        ConfigError: If `data.factory` names no function; one line.
    """
    if data.name in OWN:
        return load_own(data)
    root = None if data.root is None else Path(data.root).expanduser().absolute()
    return load_data(data.name, root=root, cache_dir=cache_dir, download=data.download)


def load_own(data: DataConfig) -> ImageData:
    """A data set of the user's own, loaded once in a process.

    Raises:
        DataError: If it is not to be had, or is no data set; one line.
        ConfigError: If `data.factory` names no function; one line.
    """
    if data.name == "custom":
        return _custom(data.factory)
    key, place = ("data.root", data.root) if data.name == "folder" else ("data.path", data.path)
    if place is None:
        raise DataError(f"data={data.name} needs {key}; give it")
    path = Path(place).expanduser().absolute()
    return _folder(path, data.image_size) if data.name == "folder" else _file(path)


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
    )


@cache
def _custom(name: str | None) -> ImageData:
    source = f"data.factory={name}"
    make: Callable[[], Any] = factory("data.factory", name)
    try:
        arrays = make()
    except Exception as error:  # whatever a user's function raises
        raise DataError(f"{source} failed: {one_line(error)}") from error
    if not isinstance(arrays, Mapping):
        raise DataError(f"{source} returned {type(arrays).__name__}; it must be a dict with images and labels")
    return _image_data("custom", {str(key): np.asarray(value) for key, value in arrays.items()}, source)


@cache
def _file(path: Path) -> ImageData:
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise DataError(f"data.path={path} is no .npz file; numpy.savez(FILE, images=…, labels=…) makes one")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"data.path={path} cannot be read: {one_line(error)}") from error
    return _image_data("arrays", arrays, f"data.path={path}")


def _image_data(name: str, arrays: Arrays, source: str) -> ImageData:
    known = {"images", "labels", "test_images", "test_labels"}
    missing, unknown = {"images", "labels"} - arrays.keys(), arrays.keys() - known
    if missing or unknown:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{source} holds {held}; it must hold images and labels, and may hold test_images, test_labels")
    if ("test_images" in arrays) != ("test_labels" in arrays):
        raise DataError(f"{source} holds one of test_images and test_labels; give both or neither")
    parts = [(_images(arrays["images"], source), _labels(arrays["labels"], source))]
    if "test_images" in arrays:
        parts.append((_images(arrays["test_images"], source), _labels(arrays["test_labels"], source)))
    shapes = {images.shape[1:] for images, _ in parts}
    if len(shapes) > 1:
        raise DataError(f"{source} holds images {parts[0][0].shape} and test_images {parts[1][0].shape}; sizes differ")
    if len(parts[0][0]) < _FEWEST:
        raise DataError(f"{source} holds {len(parts[0][0])} images; it must hold at least {_FEWEST}")
    labels = np.concatenate([labels for _, labels in parts])
    return ImageData.from_arrays(
        name,
        np.concatenate([images for images, _ in parts]),
        labels,
        classes=int(labels.max()) + 1,
        source=source,
        official_test=len(parts[1][0]) if len(parts) > 1 else 0,
    )


def _images(images: np.ndarray, source: str) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"{source} holds images of {images.dtype} {images.shape}; they must be uint8 of shape (M, C, H, W) or "
            "(M, H, W)"
        )
    return images if images.ndim == 4 else images[:, None]


def _labels(labels: np.ndarray, source: str) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise DataError(f"{source} holds labels of {labels.dtype} {labels.shape}; they must be integers of shape (M,)")
    return labels.astype(np.int64)


@cache
def _folder(root: Path, size: int | None) -> ImageData:
    source = f"data.root={root}"
    if not root.is_dir():
        raise DataError(f"{source} is not a folder; data=folder reads FOLDER/CLASS/IMAGE files")
    parts = [root / "train", root / "test"]
    parts = parts if all(part.is_dir() for part in parts) else [root]
    classes = _classes(parts[0])
    if len(classes) < 2 or any(_classes(part) != classes for part in parts):
        found = "; ".join(f"{part}: {', '.join(_classes(part)) or 'none'}" for part in parts)
        raise DataError(
            f"{source} needs at least two folders of images, one for each class, alike in train and test: {found}"
        )
    read = [_read(part, classes, size) for part in parts]
    gray = all(image.mode == "L" for images, _ in read for image in images)
    arrays: dict[str, np.ndarray] = {}
    for prefix, (images, labels) in zip(("", "test_"), read, strict=False):
        pixels = np.stack([np.asarray(image.convert("L" if gray else "RGB")) for image in images])
        arrays[f"{prefix}images"] = pixels if gray else pixels.transpose(0, 3, 1, 2)
        arrays[f"{prefix}labels"] = np.array(labels)
    return _image_data("folder", arrays, source)


def _classes(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read(folder: Path, classes: list[str], size: int | None) -> tuple[list[Any], list[int]]:
    """The images of every class, of one size, and their labels."""
    from PIL import Image, UnidentifiedImageError

    images, labels, first = [], [], None
    for label, name in enumerate(classes):
        for file in sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in _SUFFIXES):
            try:
                with Image.open(file) as opened:
                    image = opened.convert("L" if opened.mode in _GRAY else "RGB")
            except (OSError, UnidentifiedImageError) as error:
                raise DataError(f"{file} cannot be read as an image: {one_line(error)}") from error
            if size is not None:
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            first = first or (file, image.size)
            if image.size != first[1]:
                raise DataError(
                    f"{file} is {image.size[0]}x{image.size[1]} and {first[0]} {first[1][0]}x{first[1][1]}; "
                    "set data.image_size=N to bring all to N x N"
                )
            images.append(image)
            labels.append(label)
    if not images:
        raise DataError(f"{folder} has no image files; {', '.join(sorted(_SUFFIXES))} are read")
    return images, labels
