"""Reads a folder that holds one folder of image files for each class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnbench.data.image_data import DataError, ImageData
from bnbench.data.image_file import SUFFIXES, Change, read_image
from bnbench.data.own_arrays import image_data

if TYPE_CHECKING:
    from PIL.Image import Image

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_SUFFIXES_PHRASE = f"{', '.join(sorted(SUFFIXES))} are read"
_NO_IMAGES = {".txt", ".db", ".ini"}  # notes, Thumbs.db, desktop.ini: nobody expects them to be read as images
_MOST_NAMED = 6  # names of files or folders in one error


def read_folder(root: Path, size: int | None) -> ImageData:
    """The images in ROOT/CLASS, or in ROOT/train/CLASS with ROOT/val/CLASS, ROOT/test/CLASS or both.

    Upper case and the names `training`, `validation`, `valid`, `dev` and `testing` are understood too. Hidden files
    and folders are passed over: their names begin with a dot, or with two underscores as macOS writes them.

    Args:
        root: The folder.
        size: The height and width in pixels to resize all images to; None if they have one size already.

    Raises:
        DataError: If the folder is no data set; one line that names the file or folder at fault.
    """
    source = f"data.root={root}"
    if not root.is_dir():
        raise DataError(f"{source} is not a folder; data=folder reads FOLDER/CLASS/IMAGE files")
    notes: list[str] = []
    parts = _parts(root, source, notes)
    classes = _folders(parts["train"])
    if len(classes) < 2:
        deeper = [name for name in classes if len(_folders(parts["train"] / name)) > 1]
        way_out = f"; if the classes are in {deeper[0]}, name that folder as data.root" if deeper else ""
        raise DataError(
            f"{source} needs at least two folders of images, one for each class; {parts['train']} has "
            f"{', '.join(classes) or 'none'}{way_out}"
        )
    for folder in parts.values():
        if unmatched := sorted({*classes} ^ {*_folders(folder)}):
            raise DataError(
                f"{source} needs the same class folders in {' and '.join(part.name for part in parts.values())}: "
                f"{', '.join(unmatched[:_MOST_NAMED])} {'is' if len(unmatched) == 1 else 'are'} not in both "
                f"{parts['train']} and {folder}"
            )
    read_parts = {part: _read_classes(folder, classes, size, notes) for part, folder in parts.items()}
    counts = Counter(change for _, _, changes in read_parts.values() for change in changes)
    total = sum(len(labels) for _, labels, _ in read_parts.values())
    notes += [f"{counts[change]} of its {total} images {change}" for change in Change if counts[change]]
    gray = all(image.mode == "L" for images, _, _ in read_parts.values() for image in images)
    arrays: dict[str, np.ndarray] = {}
    for part, (images, labels, _) in read_parts.items():
        prefix = "" if part == "train" else f"{part}_"
        pixels = np.stack([np.asarray(image.convert("L" if gray else "RGB")) for image in images])
        arrays[f"{prefix}images"] = pixels if gray else pixels.transpose(0, 3, 1, 2)
        arrays[f"{prefix}labels"] = np.array(labels)
    return image_data("folder", arrays, source, notes=notes, class_names=classes)


def _parts(root: Path, source: str, notes: list[str]) -> dict[str, Path]:
    """The folders to train, validate and test on, by part; if `root` itself holds the classes, `train` alone."""
    folders = _folders(root)
    part_names = [name for name in folders if name.lower() in _PARTS]
    with_classes = [name for name in part_names if _folders(root / name)]
    if len(part_names) == len(folders) > 1 and not with_classes:
        raise DataError(
            f"{source} has {' and '.join(part_names)} without a folder for each class in them; data=folder reads "
            f"{root / part_names[0]}/CLASS/IMAGE files"
        )
    if flat := [name for name in part_names if name not in with_classes and with_classes]:
        raise DataError(
            f"{source} has folders for each class in {with_classes[0]} and none in {flat[0]}; make them alike"
        )
    parts: dict[str, Path] = {}
    for name in with_classes:
        part = _PARTS[name.lower()]
        if part in parts:
            raise DataError(f"{source} has both {parts[part].name} and {name}; leave one of them out or rename it")
        parts[part] = root / name
    if not parts or (len(parts) == 1 and len(folders) > 1):
        return {"train": root}
    if "train" not in parts:
        present = " and ".join(folder.name for folder in parts.values())
        raise DataError(f"{source} has {present} and no train; name the folder to train on train")
    ordered: dict[str, Path] = {part: parts[part] for part in ("train", "val", "test") if part in parts}
    unread = [name for name in folders if root / name not in parts.values()]
    if unread:
        notes.append(
            f"beside {', '.join(folder.name for folder in ordered.values())}, {', '.join(unread)} was not read"
        )
    if "test" not in parts:
        notes.append(f"it has no test folder, so a fifth of {parts['train'].name} tests")
    return ordered


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry))


def _read_classes(
    folder: Path, classes: list[str], size: int | None, notes: list[str]
) -> tuple[list[Image], list[int], list[Change]]:
    """The images of every class, all of one size, the label of each, and every change made to any of them."""
    from PIL import Image

    images: list[Image.Image] = []
    labels: list[int] = []
    changes: list[Change] = []
    first = None
    for label, name in enumerate(classes):
        for file in _files(folder / name, notes):
            image, image_changes = read_image(file)
            if size is not None:
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            first = first or (file, image.size)
            if image.size != first[1]:
                raise DataError(
                    f"{file} is {image.size[0]}x{image.size[1]} and {first[0]} {first[1][0]}x{first[1][1]}; "
                    "set data.image_size=N to resize all to N x N"
                )
            images.append(image)
            labels.append(label)
            changes += image_changes
    return images, labels, changes


def _files(folder: Path, notes: list[str]) -> list[Path]:
    """The image files of one class, in the order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if not _is_hidden(entry))
    plain = [entry for entry in entries if entry.is_file()]
    files = [entry for entry in plain if entry.suffix.lower() in SUFFIXES]
    deeper = [entry for entry in entries if entry.is_dir() and any(_images_in(entry))]
    if deeper:
        raise DataError(
            f"{folder} is taken for a class and has images in folders of its own, {deeper[0].name}; data=folder reads "
            f"FOLDER/CLASS/IMAGE files: name the folder that holds the classes as data.root, or put the images together"
        )
    if not files:
        content = ", ".join(entry.name for entry in entries[:_MOST_NAMED]) or "nothing"
        raise DataError(
            f"{folder} is taken for a class and has no image files (it holds {content}); {_SUFFIXES_PHRASE}: put "
            f"images there, or move the folder away"
        )
    other = {entry.suffix.lower() or entry.name for entry in plain} - SUFFIXES - _NO_IMAGES
    if other:
        notes.append(f"files of {', '.join(sorted(other))} in {folder} were not read")
    return files


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _is_hidden(path)]
