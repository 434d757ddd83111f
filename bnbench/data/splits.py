"""Decides which images train, validate and test: the same for every seed, or drawn anew for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnbench.data.catalog import DATASETS
from bnbench.data.image_data import DataError, ImageData, checksum_arrays
from bnbench.tensors.seeding import derive

_FIXED_SEED = 20150211  # the day the batch normalization paper was posted; never change it


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint int64 arrays of row numbers of `ImageData.images`.

    Each is shuffled, then its classes are interleaved in proportion to their sizes, so that its first n rows have
    nearly the same share of each class as all of them.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_data(data: ImageData, *, kind: str, seed: int, train_examples: int | None = None) -> Split:
    """Split a data set into training, validation and test images.

    Sizes are those of `DATASETS`. A data set that is not in the catalog gives a tenth to validation and a fifth to
    test, unless it comes with such sets. If rows are drawn, each class gives in proportion to its size, by largest
    remainders: less than one image off the exact share for each part.

    An official test or validation set is always that split, under every seed. `fixed` validates on the first 5,000
    training images of the MNIST family, as TensorFlow's tutorials did, and on the last 5,000 of CIFAR-10.

    Args:
        data: The images to split.
        kind: `fixed`, the same for every seed, or `by_seed`, drawn anew for each.
        seed: The trial's seed; `fixed` does not use it.
        train_examples: How many training images to keep, counted from the first; None keeps all.

    Raises:
        DataError: If `kind` is unknown, or a class has no image left to train on.
    """
    if kind not in ("fixed", "by_seed"):
        raise DataError(f"data.split={kind} is unknown; use data.split=fixed or data.split=by_seed")
    fixed = kind == "fixed"
    stream = _FIXED_SEED if fixed else derive(seed, "split", data.name)
    generator = np.random.Generator(np.random.PCG64(stream))
    rows = np.arange(len(data.labels), dtype=np.int64)
    bounds = [len(rows) - data.official_val - data.official_test, len(rows) - data.official_test]
    pool, val, test = np.split(rows, bounds)
    info = DATASETS.get(data.name)
    entry = info if info is not None and info.images == len(rows) else None
    val_size, test_size = (entry.val, entry.test) if entry else (len(pool) // 10, len(pool) // 5)

    if entry and data.official_test and fixed:
        val, train = np.split(pool, [val_size]) if entry.val_first else np.split(pool, [len(pool) - val_size])[::-1]
    else:
        parts = {"test": (test, test_size), "val": (val, val_size)}
        sizes = {part: size for part, (official_rows, size) in parts.items() if not len(official_rows)}
        *dealt, train = _deal(pool, data, tuple(sizes.values()), generator)
        drawn = dict(zip(sizes, dealt, strict=True))
        test, val = drawn.get("test", test), drawn.get("val", val)
    train, val, test = (_interleave(part, data, generator) for part in (train, val, test))
    return Split(train[:train_examples], val, test)


def split_checksum(split: Split) -> str:
    """SHA-256 (hex) of a split: which rows each part has, in which order."""
    return checksum_arrays(train=split.train, val=split.val, test=split.test)


def largest_class(labels: np.ndarray) -> float:
    """The share of the most frequent label: the accuracy of a network that always answers with it.

    >>> largest_class(np.array([0, 1, 1, 2]))
    0.5
    """
    return float(np.bincount(labels).max() / len(labels))


def _deal(
    pool: np.ndarray, data: ImageData, sizes: tuple[int, ...], generator: np.random.Generator
) -> list[np.ndarray]:
    """Parts of these sizes, to which each class gives in proportion to its size; the last part is all other rows."""
    members = [pool[data.labels[pool] == c] for c in range(data.classes)]
    members = [_shuffle(rows, generator) for rows in members]
    parts = []
    for size in sizes:
        quotas = _quotas(np.array([len(rows) for rows in members]), size)
        parts.append(np.concatenate([rows[:n] for rows, n in zip(members, quotas, strict=True)]))
        members = [rows[n:] for rows, n in zip(members, quotas, strict=True)]
    for label, rows in enumerate(members):
        number = int((data.labels[pool] == label).sum())
        if number and not len(rows):
            raise DataError(
                f"data={data.name}: class {data.class_name(label)} has {number} of the images to be split, and none of "
                f"them is left to train on; give it more or leave it out"
            )
    return [*parts, np.concatenate(members)]


def _quotas(counts: np.ndarray, size: int) -> np.ndarray:
    """`size` divided in proportion to `counts`, rounded down; what remains goes to the largest remainders, one each.

    Of equal remainders the lower class comes first.
    """
    quotas, remainders = np.divmod(counts * size, counts.sum())
    quotas[np.argsort(-remainders, kind="stable")[: size - quotas.sum()]] += 1
    return quotas


def _interleave(rows: np.ndarray, data: ImageData, generator: np.random.Generator) -> np.ndarray:
    """The rows shuffled, with classes taking turns: ten classes of equal size go 0, 1, ..., 9, 0, 1, ..."""
    rows = _shuffle(rows, generator)
    labels = data.labels[rows]
    place = np.empty(len(rows))  # each row's place among the rows of its class, in (0, 1)
    for c in range(data.classes):
        members = labels == c
        place[members] = (np.arange(members.sum()) + 0.5) / max(members.sum(), 1)
    return rows[np.lexsort((labels, place))]


def _shuffle(rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    # across versions NumPy changes the stream of permutation() more readily than that of random()
    return rows[np.argsort(generator.random(len(rows)), kind="stable")]
