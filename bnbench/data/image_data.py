"""A whole data set in memory, and the errors about data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np


class DataError(ValueError):
    """One line about data: what was looked for, where, and what to do."""


class MissingDataError(DataError):
    """The files of a data set are missing, and were not downloaded."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Every image of a data set with its label, neither scaled nor split.

    Args:
        name: Its name in `DATASETS`, or another one for a data set that is not in the catalog.
        images: uint8, shape (M, C, H, W), C-contiguous.
        labels: int64, shape (M,), in [0, classes).
        classes: Number of classes.
        checksum: SHA-256 of images and labels; the same on every machine, from every file format.
        source: A phrase for users that says where the images came from.
        official_test: How many rows, the last ones, are the test set that the data set comes with; 0 if it has none.
        official_val: How many rows before those are the validation set that it comes with; 0 if it has none.
        class_names: The name of each class in the source; () if the classes have only numbers.
        notes: What was done to read it, as phrases for users.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    classes: int
    checksum: str
    source: str
    official_test: int = 0
    official_val: int = 0
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_arrays(
        cls,
        name: str,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        classes: int,
        source: str,
        official_test: int = 0,
        official_val: int = 0,
        class_names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Self:
        """A data set of these arrays, checked, with their checksum.

        Raises:
            DataError: If there is not one label in [0, classes) for each image.
            TypeError: If `images` is not uint8 of shape (M, C, H, W).
        """
        if images.dtype != np.uint8 or images.ndim != 4:
            raise TypeError(f"images must be uint8 (M, C, H, W), not {images.dtype} {images.shape}")
        if labels.shape != (len(images),):
            raise DataError(f"data={name}: {len(images)} images, labels {labels.shape}, from {source}")
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            span = f"{labels.min()}..{labels.max()}"
            raise DataError(f"data={name}: labels {span}, allowed 0..{classes - 1}, from {source}")
        images, labels = np.ascontiguousarray(images), labels.astype(np.int64)
        checksum = checksum_arrays(images=images, labels=labels)
        return cls(name, images, labels, classes, checksum, source, official_test, official_val, class_names, notes)

    def class_name(self, label: int) -> str:
        """The name of a class in the source, or its number."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image."""
        _, C, H, W = self.images.shape
        return C, H, W


def checksum_arrays(**arrays: np.ndarray) -> str:
    """SHA-256 (hex) of the names, types, shapes and little-endian bytes of arrays, in the order of the arguments.

    >>> checksum_arrays(x=np.zeros(4)) == checksum_arrays(x=np.zeros((2, 2)))
    False
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {stored.dtype.str} {stored.shape};".encode())
        digest.update(stored.data)
    return digest.hexdigest()
