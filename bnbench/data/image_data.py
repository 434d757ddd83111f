"""A whole data set in memory, and the error that is raised when there is none to be had."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np


class DataError(ValueError):
    """One line about data: what was looked for, where, and what to do."""


class MissingDataError(DataError):
    """The files are nowhere."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Every image of a data set with its label, as the source gives them: no scaling, no split.

    Args:
        name: Its name in `DATASETS`, or any other for a set made by hand.
        images: uint8, shape (M, C, H, W), C-contiguous.
        labels: int64, shape (M,), in [0, classes).
        classes: Number of classes.
        checksum: SHA-256 of images and labels; the same on every machine, from every file format.
        source: A phrase for people: where the bytes came from.
        official_test: The last `official_test` rows are the data set's own test set; 0 if it has none.
        official_val: So many rows before those are its own validation set; 0 if it has none.
        class_names: What its source calls each class; () where labels are their own names.
        notes: What was done to read it, as phrases for people.
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
        """Check two arrays, compute their checksum and hold them together.

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
        """What its source calls a class."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image."""
        _, C, H, W = self.images.shape
        return C, H, W


def checksum_arrays(**arrays: np.ndarray) -> str:
    """SHA-256 (hex) of names, types, shapes and little-endian bytes, in the order given.

    >>> checksum_arrays(x=np.zeros(4)) == checksum_arrays(x=np.zeros((2, 2)))
    False
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {stored.dtype.str} {stored.shape};".encode())
        digest.update(stored.data)
    return digest.hexdigest()
