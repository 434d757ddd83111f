"""Makes a data set of arrays that a user brings: notes say how they were read, and errors why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnbench.data.image_data import DataError, ImageData

Arrays = Mapping[str, np.ndarray]

_FEWEST_IMAGES = 10  # of 10 images, one validates and two test
_MOST_CHANNELS = 4  # an axis of at most this length may hold the channels of images
_MOST_NAMED = 12  # labels listed in one line

# The names of images and labels in bnbench's examples, in MedMNIST's files and in Keras' files.
_NAME_SCHEMES = (
    {
        "train": ("images", "labels"),
        "val": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
    {
        "train": ("train_images", "train_labels"),
        "val": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
    {"train": ("x_train", "y_train"), "val": ("x_val", "y_val"), "test": ("x_test", "y_test")},
)


def image_data(
    name: str, arrays: Arrays, source: str, *, notes: Sequence[str] = (), class_names: Sequence[str] = ()
) -> ImageData:
    """A data set of these arrays, checked.

    Labels may be any whole numbers >= 0: the distinct ones become classes 0, 1, …, in ascending order.

    Args:
        name: The name of the data set.
        arrays: Images, (M, C, H, W), (M, H, W, C) or (M, H, W) in uint8, and labels, (M,) or (M, 1), to train on; with
            their own names also those to validate and to test on.
        source: A phrase for where they came from, for errors.
        notes: Phrases for users on what was done to them already.
        class_names: The name of each label 0, 1, …; by default the numbers are the names.

    Raises:
        DataError: If the arrays are no data set; one line.
    """
    all_notes = list(notes)
    parts = {
        part: (_images(images, source, all_notes), _labels(labels, source))
        for part, (images, labels) in _parts(arrays, source).items()
    }
    _check_images([images for images, _ in parts.values()], source, all_notes)
    for images, labels in parts.values():
        if len(images) != len(labels):
            raise DataError(f"{source} holds {len(images)} images, labels {labels.shape}; give each image its label")
    if len(parts["train"][0]) < _FEWEST_IMAGES:
        raise DataError(f"{source} holds {len(parts['train'][0])} images; it must hold at least {_FEWEST_IMAGES}")
    distinct = _distinct({part: labels for part, (_, labels) in parts.items()}, source, class_names)
    names = tuple(class_names[label] if class_names else str(label) for label in distinct)
    if not np.array_equal(distinct, np.arange(len(distinct))):
        all_notes.append(f"its labels {_listed(names)} became classes 0 to {len(distinct) - 1}, in order")
    ordered = [parts[part] for part in ("train", "val", "test") if part in parts]
    return ImageData.from_arrays(
        name,
        np.concatenate([images for images, _ in ordered]),
        np.searchsorted(distinct, np.concatenate([labels for _, labels in ordered])),
        classes=len(distinct),
        source=source,
        official_test=len(parts["test"][1]) if "test" in parts else 0,
        official_val=len(parts["val"][1]) if "val" in parts else 0,
        class_names=names,
        notes=tuple(dict.fromkeys(all_notes)),
    )


def _parts(arrays: Arrays, source: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels by part, `train` and perhaps `val` and `test`."""
    by_name = {key.lower(): array for key, array in arrays.items()}  # so that X_train is read as x_train
    scheme = next((names for names in _NAME_SCHEMES if names["train"][0] in by_name), _NAME_SCHEMES[0])
    allowed = {key for pair in scheme.values() for key in pair}
    if len(by_name) < len(arrays) or by_name.keys() - allowed or not {*scheme["train"]} <= by_name.keys():
        listed = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(
            f"{source} holds {listed}; it must hold images and labels, and may hold val_images, val_labels, "
            f"test_images, test_labels; the names train_images, … and x_train, y_train, … are read too"
        )
    for images, labels in scheme.values():
        if (images in by_name) != (labels in by_name):
            raise DataError(f"{source} holds one of {images} and {labels}; give both or neither")
    return {part: (by_name[images], by_name[labels]) for part, (images, labels) in scheme.items() if images in by_name}


def _images(images: np.ndarray, source: str, notes: list[str]) -> np.ndarray:
    """Images as (M, C, H, W); if their axes are in another order, a phrase that says so is appended to `notes`."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        way_out = {
            "f": "; for numbers from 0 to 1 write (images * 255).round().astype('uint8')",
            "u": "; for 16 bits write (images / 257).round().astype('uint8')" if images.itemsize == 2 else "",
            "i": "; for whole numbers from 0 to 255 write images.astype('uint8')",
            "b": "; write images.astype('uint8') * 255",
        }.get(images.dtype.kind, "")
        raise DataError(
            f"{source} holds images of {images.dtype} {images.shape}; they must be uint8 of shape (M, C, H, W), "
            f"(M, H, W, C) or (M, H, W){way_out}"
        )
    if images.ndim == 3:
        return images[:, None]
    _, a, b, c = images.shape
    refused = f"{source} holds images of shape {images.shape}"
    if a == b and c <= _MOST_CHANNELS and a <= _MOST_CHANNELS and a != c:
        raise DataError(f"{refused}, which may be {a} or {c} channels; give them as (M, H, W), or larger")
    if a <= _MOST_CHANNELS:
        return images
    if c <= _MOST_CHANNELS < b:
        notes.append(f"its images have their channels last, (M, {a}, {b}, {c}), and are read so")
        return images.transpose(0, 3, 1, 2)
    if a < min(b, c):
        return images
    if b <= _MOST_CHANNELS and images.shape[0] == a:
        raise DataError(
            f"{refused}; if that is (H, W, C, M), as in SVHN, images.transpose(3, 2, 0, 1) makes (M, C, H, W)"
        )
    if a == b == c:
        raise DataError(f"{refused}, which are volumes; bnbench trains on images, (M, C, H, W) or (M, H, W)")
    raise DataError(f"{refused}, with more channels than rows or columns; give them as (M, C, H, W) or (M, H, W)")


def _check_images(parts: list[np.ndarray], source: str, notes: Sequence[str]) -> None:
    shapes = {images.shape[1:] for images in parts}
    if len(shapes) > 1:
        sizes = " and ".join(str(images.shape) for images in parts)
        raise DataError(f"{source} holds images of shapes {sizes}; the sizes differ")
    if any(not images.size for images in parts):
        raise DataError(f"{source} holds a part without images; leave it out, or give it some")
    low, high = min(int(images.min()) for images in parts), max(int(images.max()) for images in parts)
    if low == high:
        reading = f", where {'; '.join(notes)}" if notes else ""
        raise DataError(f"{source} holds images of which every pixel is {low}{reading}; there is nothing to train on")


def _labels(labels: np.ndarray, source: str) -> np.ndarray:
    refused = f"{source} holds labels of {labels.dtype} {labels.shape}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # MedMNIST's labels have shape (M, 1)
    if labels.ndim == 2:
        raise DataError(
            f"{refused}, {labels.shape[1]} per image; bnbench trains on one label per image: choose a column, or take "
            f"labels.argmax(1) if each row holds one 1 and else 0"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise DataError(f"{refused}; they must be integers of shape (M,)")
    return labels.astype(np.int64)


def _distinct(parts: Mapping[str, np.ndarray], source: str, class_names: Sequence[str]) -> np.ndarray:
    """The distinct labels of the training images, ascending; a label that cannot be a class is an error."""
    lowest, highest = (getattr(np.concatenate([*parts.values()]), edge)() for edge in ("min", "max"))
    if lowest < 0:
        raise DataError(f"{source} holds labels {lowest}..{highest}; they must be 0 or more")
    train = parts["train"]
    distinct = np.unique(train)
    for part, labels in parts.items():
        unknown = np.setdiff1d(labels, distinct)
        if len(unknown):
            names = [class_names[label] if class_names else str(label) for label in unknown]
            raise DataError(
                f"{source} holds {part} labels that no training image has: {_listed(names)}; train on them or leave "
                f"their images out"
            )
    if len(distinct) < 2:
        raise DataError(f"{source} holds images of one class alone, label {distinct[0]}; give at least two classes")
    if 2 * len(distinct) > len(train):
        raise DataError(
            f"{source} holds {len(distinct):,} different labels for {len(train):,} training images; labels are "
            f"classes, and each needs several images"
        )
    return distinct


def _listed(names: Sequence[str]) -> str:
    """Names in one line: `1 to 26` for numbers without gaps; of more than 12 names the first ten, `…` and the last."""
    numbers = [int(name) for name in names] if all(name.isdecimal() for name in names) else []
    if len(numbers) > 2 and numbers == [*range(numbers[0], numbers[0] + len(numbers))]:
        return f"{numbers[0]} to {numbers[-1]}"
    shown = list(names)
    if len(shown) > _MOST_NAMED:
        shown = [*shown[: _MOST_NAMED - 2], "…", shown[-1]]
    return ", ".join(shown)
