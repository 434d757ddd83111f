"""Reads files of arrays in the layouts in which data sets are published: .npz, pairs of .npz, idx files, CIFAR-100."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bnbench.config.factory import one_line
from bnbench.data.cifar import read_cifar100
from bnbench.data.idx import read_any_idx
from bnbench.data.image_data import DataError
from bnbench.data.own_arrays import Arrays

# A file of a set: kmnist-train-imgs.npz, emnist-letters-train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, …
_FILE_NAME = re.compile(
    r"(?P<family>.*?)(?P<part>train|val|test|t10k)[-_.](?P<content>images|imgs|labels)(?P<idx>[-_.]idx\d[-_.]\w+)?"
    r"(?:\.(?:npz|gz))?"
)
_PREFIXES = {"train": "", "val": "val_", "test": "test_", "t10k": "test_"}
_QMNIST_COLUMNS = 8
_CIFAR100_ROW = 2 + 3 * 32 * 32  # bytes: the coarse label, the fine label, and the planes of red, green and blue
_FINE_LABELS_NOTE = "its labels are CIFAR-100's fine ones"


def read_arrays(path: Path) -> tuple[Arrays, list[str]]:
    """The arrays in the files at `data.path`.

    Args:
        path: An .npz file; or the folder, or any file, of a set whose files are recognized by their names: idx files
            (MNIST, EMNIST, QMNIST, …), pairs of .npz with one array each (KMNIST), CIFAR-100.

    Returns:
        The arrays by their names in the file, or as `images`, `labels`, `test_images`, …; and notes for the user on
        what was done to read them.

    Raises:
        DataError: If there is no such set at `path`, or a file is damaged; one line.
    """
    source = f"data.path={path}"
    if path.suffix.lower() == ".mat":
        raise DataError(
            f"{source} is a .mat file, which is not read; for SVHN, take X and y from scipy.io.loadmat and write "
            f"numpy.savez(FILE, images=X.transpose(3, 2, 0, 1), labels=y.ravel() % 10)"
        )
    if path.is_dir():
        return _from_folder(path, source)
    if path.is_file() and path.name in {"train.bin", "test.bin"}:
        return _cifar100_binary(path.parent, source)
    name_match = _FILE_NAME.fullmatch(path.name.lower())
    if path.is_file() and zipfile.is_zipfile(path):
        arrays = _npz(path)
        if len(arrays) > 1 or "arr_0" not in arrays:
            return arrays, []
        if name_match is None:
            raise DataError(
                f"{source} holds one array without a name; such files are read in pairs, recognized by their names: "
                f"SET-train-imgs.npz and SET-train-labels.npz"
            )
    if path.is_file() and name_match is not None:
        return _family(path.parent, name_match["family"])
    raise DataError(f"{source} is no .npz file; numpy.savez(FILE, images=…, labels=…) makes one")


def _from_folder(folder: Path, source: str) -> tuple[Arrays, list[str]]:
    names = {entry.name for entry in folder.iterdir()}
    if "data_batch_1" in names:
        raise DataError(f"{source} holds CIFAR-10's files; data=cifar10 data.root={folder.parent} reads them")
    if {"train.bin", "test.bin"} <= names:
        return _cifar100_binary(folder, source)
    if "cifar-100-python" in names or folder.name == "cifar-100-python":
        return read_cifar100(folder if "cifar-100-python" in names else folder.parent), [_FINE_LABELS_NOTE]
    matches = {name: match for name in sorted(names) if (match := _FILE_NAME.fullmatch(name.lower()))}
    families = {match["family"]: name for name, match in matches.items() if _is_train_images(match)}
    if not families:
        raise DataError(
            f"{source} holds no files with the names of a data set (SET-train-images-idx3-ubyte, "
            f"SET-train-imgs.npz, …); give a file, or data=folder data.root={folder} for image files"
        )
    if len(families) > 1:
        raise DataError(f"{source} holds several data sets; give one of these files: {', '.join(families.values())}")
    return _family(folder, next(iter(families)))


def _is_train_images(match: re.Match[str]) -> bool:
    return match["part"] == "train" and match["content"] != "labels"


def _family(folder: Path, family: str) -> tuple[Arrays, list[str]]:
    """Arrays and notes of the files whose names begin with `family`, which stands before `train`, `test` and `t10k`."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir(), key=lambda file: (file.suffix == ".gz", file.name)):
        match = _FILE_NAME.fullmatch(file.name.lower())
        if match is not None and match["family"] == family:
            files.setdefault(_PREFIXES[match["part"]] + ("labels" if match["content"] == "labels" else "images"), file)
    for images, labels in (("images", "labels"), ("test_images", "test_labels"), ("val_images", "val_labels")):
        if ((images in files) != (labels in files)) or (images == "images" and images not in files):
            present = ", ".join(file.name for file in files.values())
            raise DataError(
                f"data.path={folder} lacks the {images} or {labels} that belong to {present}; put them there"
            )
    arrays = {name: _single_array(file) for name, file in files.items()}
    notes = []
    for name, array in arrays.items():
        if name.endswith("labels") and array.ndim == 2 and array.shape[1] == _QMNIST_COLUMNS:
            arrays[name] = array[:, 0]
            notes.append(f"its label is the first of QMNIST's {_QMNIST_COLUMNS} columns, the digit")
        if "emnist" in family and name.endswith("images") and array.ndim == 3:
            arrays[name] = array.swapaxes(1, 2)
            notes.append("its images lie on their side in EMNIST's files, rows for columns, and are turned upright")
    return arrays, notes


def _single_array(file: Path) -> np.ndarray:
    if not zipfile.is_zipfile(file):
        return read_any_idx(file)
    arrays = _npz(file)
    if len(arrays) != 1:
        raise DataError(f"{file} holds {', '.join(arrays) or 'nothing'}; it must hold one array")
    return next(iter(arrays.values()))


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"data.path={path} cannot be read: {one_line(error)}") from error


def _cifar100_binary(folder: Path, source: str) -> tuple[Arrays, list[str]]:
    arrays: dict[str, np.ndarray] = {}
    for prefix, name in (("", "train.bin"), ("test_", "test.bin")):
        try:
            content = np.fromfile(folder / name, np.uint8)
        except OSError as error:
            raise DataError(f"{source}: {folder / name} cannot be read: {one_line(error)}") from error
        if not len(content) or len(content) % _CIFAR100_ROW:
            raise DataError(
                f"{folder / name} holds {len(content)} bytes, not rows of {_CIFAR100_ROW} as CIFAR-100's files do"
            )
        rows = content.reshape(-1, _CIFAR100_ROW)
        arrays |= {f"{prefix}images": rows[:, 2:].reshape(-1, 3, 32, 32), f"{prefix}labels": rows[:, 1]}
    return arrays, [_FINE_LABELS_NOTE]
