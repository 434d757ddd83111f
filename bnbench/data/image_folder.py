"""A folder of image files, with a folder for each class, as arrays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnbench.data.image_data import DataError, ImageData
from bnbench.data.image_file import SUFFIXES, Told, read_image
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
_READ = f"{', '.join(sorted(SUFFIXES))} are read"
_NO_IMAGES = {".txt", ".db", ".ini"}  # a note, Thumbs.db, desktop.ini: nobody takes them for images
_MOST_NAMED = 6


def read_folder(root: Path, size: int | None) -> ImageData:
    """The images in ROOT/CLASS, or in ROOT/train/CLASS with ROOT/val/CLASS, ROOT/test/CLASS or both.

    The names may be capitals, and `training`, `validation`, `valid`, `dev` and `testing`. Whatever is hidden (begins
    with a dot or two underscores, as what macOS leaves behind does) is passed over.

    Args:
        root: The folder.
        size: Rows and columns to bring all images to; None where they have one size already.

    Raises:
        DataError: If they are no data set; one line that names the file or folder.
    """
    source = f"data.root={root}"
    if not root.is_dir():
        raise DataError(f"{source} is not a folder; data=folder reads FOLDER/CLASS/IMAGE files")
    notes: list[str] = []
    parts = _parts(root, source, notes)
    classes = _folders(parts["train"])
    if len(classes) < 2:
        inner = [name for name in classes if len(_folders(parts["train"] / name)) > 1]
        way_out = f"; if the classes are in {inner[0]}, name that folder as data.root" if inner else ""
        raise DataError(
            f"{source} needs at least two folders of images, one for each class; {parts['train']} has "
            f"{', '.join(classes) or 'none'}{way_out}"
        )
    for folder in parts.values():
        if unlike := sorted({*classes} ^ {*_folders(folder)}):
            raise DataError(
                f"{source} needs the same class folders in {' and '.join(part.name for part in parts.values())}: "
                f"{', '.join(unlike[:_MOST_NAMED])} {'is' if len(unlike) == 1 else 'are'} not in both {parts['train']} "
                f"and {folder}"
            )
    read = {part: _read(folder, classes, size, notes) for part, folder in parts.items()}
    told = Counter(word for _, _, words in read.values() for word in words)
    total = sum(len(labels) for _, labels, _ in read.values())
    notes += [f"{told[word]} of its {total} images {word}" for word in Told if told[word]]
    gray = all(image.mode == "L" for images, _, _ in read.values() for image in images)
    arrays: dict[str, np.ndarray] = {}
    for part, (images, labels, _) in read.items():
        prefix = "" if part == "train" else f"{part}_"
        pixels = np.stack([np.asarray(image.convert("L" if gray else "RGB")) for image in images])
        arrays[f"{prefix}images"] = pixels if gray else pixels.transpose(0, 3, 1, 2)
        arrays[f"{prefix}labels"] = np.array(labels)
    return image_data("folder", arrays, source, notes=notes, class_names=classes)


def _parts(root: Path, source: str, notes: list[str]) -> dict[str, Path]:
    """The folders to train, validate and test on; `root` alone where it holds the classes."""
    folders = _folders(root)
    named = [name for name in folders if name.lower() in _PARTS]
    parted = [name for name in named if _folders(root / name)]
    if len(named) == len(folders) > 1 and not parted:
        raise DataError(
            f"{source} has {' and '.join(named)} without a folder for each class in them; data=folder reads "
            f"{root / named[0]}/CLASS/IMAGE files"
        )
    if flat := [name for name in named if name not in parted and parted]:
        raise DataError(f"{source} has folders for each class in {parted[0]} and none in {flat[0]}; make them alike")
    parts: dict[str, Path] = {}
    for name in parted:
        part = _PARTS[name.lower()]
        if part in parts:
            raise DataError(f"{source} has both {parts[part].name} and {name}; leave one of them out or rename it")
        parts[part] = root / name
    if not parts or (len(parts) == 1 and len(folders) > 1):
        return {"train": root}
    if "train" not in parts:
        there = " and ".join(folder.name for folder in parts.values())
        raise DataError(f"{source} has {there} and no train; call the folder to train on train")
    ordered: dict[str, Path] = {part: parts[part] for part in ("train", "val", "test") if part in parts}
    unread = [name for name in folders if root / name not in parts.values()]
    if unread:
        notes.append(
            f"beside {', '.join(folder.name for folder in ordered.values())}, {', '.join(unread)} was not read"
        )
    if "test" not in parts:
        notes.append(f"it has no test folder, so a fifth of {parts['train'].name} tests")
    return ordered


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _hidden(entry))


def _read(
    folder: Path, classes: list[str], size: int | None, notes: list[str]
) -> tuple[list[Image], list[int], list[Told]]:
    """The images of every class, of one size, their labels, and what is to be told of them."""
    from PIL import Image

    images: list[Image.Image] = []
    labels: list[int] = []
    told: list[Told] = []
    first = None
    for label, name in enumerate(classes):
        for file in _files(folder / name, notes):
            image, words = read_image(file)
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
            told += words
    return images, labels, told


def _files(folder: Path, notes: list[str]) -> list[Path]:
    """A class's image files, in order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if not _hidden(entry))
    plain = [entry for entry in entries if entry.is_file()]
    files = [entry for entry in plain if entry.suffix.lower() in SUFFIXES]
    deeper = [entry for entry in entries if entry.is_dir() and any(_images_in(entry))]
    if deeper:
        raise DataError(
            f"{folder} is taken for a class and has images in folders of its own, {deeper[0].name}; data=folder reads "
            f"FOLDER/CLASS/IMAGE files: name the folder that holds the classes as data.root, or put the images together"
        )
    if not files:
        held = ", ".join(entry.name for entry in entries[:_MOST_NAMED]) or "nothing"
        raise DataError(
            f"{folder} is taken for a class and has no image files (it holds {held}); {_READ}: put images there, or "
            f"move the folder away"
        )
    other = {entry.suffix.lower() or entry.name for entry in plain} - SUFFIXES - _NO_IMAGES
    if other:
        notes.append(f"files of {', '.join(sorted(other))} in {folder} were not read")
    return files


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _hidden(path)]
