"""Files of arrays in the layouts in which data sets are published, written small by the tests."""

from __future__ import annotations

import gzip
import pickle
import struct
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from bnbench.config import DataConfig
from bnbench.data import DataError, ImageData, load_own, split_data
from bnbench.tensors.vision_ops import ensure_torchvision

RNG = np.random.default_rng(0)
_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D}


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def labels(count: int, classes: int = 4, first: int = 0) -> np.ndarray:
    return (np.arange(count) % classes + first).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    code = _CODES[array.dtype.str[1:]]
    big_endian = array.astype(array.dtype.newbyteorder(">")).tobytes()
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + big_endian
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def load(path: Path) -> ImageData:
    return load_own(DataConfig(name="arrays", path=str(path)))


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(path)
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)])
def test_medmnist_files_are_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    train, val, test = pixels(40, *shape), pixels(12, *shape), pixels(8, *shape)
    np.savez(
        tmp_path / "a.npz",
        train_images=train,
        train_labels=labels(40)[:, None],
        val_images=val,
        val_labels=labels(12)[:, None],
        test_images=test,
        test_labels=labels(8)[:, None],
    )
    data = load(tmp_path / "a.npz")
    assert data.shape == (3 if len(shape) == 3 else 1, 28, 28)
    split = split_data(data, kind="fixed", seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (40, 12, 8)
    channels_last = data.images.transpose(0, 2, 3, 1) if len(shape) == 3 else data.images[:, 0]
    assert np.array_equal(channels_last, np.concatenate([train, val, test]))
    assert np.array_equal(data.labels, np.concatenate([labels(40), labels(12), labels(8)]))


@pytest.mark.parametrize("letter", ["x", "X"])
def test_keras_files_are_read(letter: str, tmp_path: Path) -> None:
    train, test = pixels(40, 28, 28), pixels(8, 28, 28)
    names = {f"{letter}_train": train, "y_train": labels(40), f"{letter}_test": test, "y_test": labels(8)}
    np.savez(tmp_path / "mnist.npz", **names)
    data = load(tmp_path / "mnist.npz")
    assert np.array_equal(data.images[:, 0], np.concatenate([train, test]))
    assert (data.official_test, data.official_val) == (8, 0)


def write_kmnist(folder: Path) -> np.ndarray:
    train, test = pixels(40, 28, 28), pixels(8, 28, 28)
    np.savez_compressed(folder / "kmnist-train-imgs.npz", train)
    np.savez_compressed(folder / "kmnist-train-labels.npz", labels(40))
    np.savez_compressed(folder / "kmnist-test-imgs.npz", test)
    np.savez_compressed(folder / "kmnist-test-labels.npz", labels(8))
    return np.concatenate([train, test])


@pytest.mark.parametrize("path", [".", "kmnist-train-imgs.npz", "kmnist-test-labels.npz"])
def test_kmnist_is_read_from_pairs_of_npz(path: str, tmp_path: Path) -> None:
    images = write_kmnist(tmp_path)
    data = load(tmp_path / path)
    assert np.array_equal(data.images[:, 0], images)
    assert (data.official_test, data.classes) == (8, 4)


def test_a_missing_file_of_a_pair_is_named(tmp_path: Path) -> None:
    write_kmnist(tmp_path)
    (tmp_path / "kmnist-test-labels.npz").unlink()
    assert "lacks the test_images or test_labels that belong to" in refusal(tmp_path)
    (tmp_path / "kmnist-test-imgs.npz").unlink()
    assert load(tmp_path / "kmnist-train-imgs.npz").official_test == 0
    np.savez(tmp_path / "x.npz", pixels(40, 28, 28))
    assert "recognized by their names: SET-train-imgs.npz and SET-train-labels.npz" in refusal(tmp_path / "x.npz")


def write_emnist(folder: Path, name: str, classes: int, first: int) -> np.ndarray:
    upright = pixels(130, 28, 20)
    for part, rows in (("train", slice(104)), ("test", slice(104, None))):
        write_idx(folder / f"emnist-{name}-{part}-images-idx3-ubyte.gz", upright[rows].swapaxes(1, 2))
        write_idx(folder / f"emnist-{name}-{part}-labels-idx1-ubyte.gz", labels(130, classes, first)[rows])
    return upright


def test_emnist_is_turned_upright_and_its_letters_from_1_become_classes_from_0(tmp_path: Path) -> None:
    upright = write_emnist(tmp_path, "letters", 26, first=1)
    data = load(tmp_path)
    assert np.array_equal(data.images[:, 0], upright)
    assert np.array_equal(data.labels, np.arange(130) % 26)
    assert data.official_test == 26
    assert [note.partition(",")[0] for note in data.notes] == [
        "its images lie on their side in EMNIST's files",
        "its labels 1 to 26 became classes 0 to 25",
    ]


def test_several_sets_in_a_folder_need_a_file_that_names_one(tmp_path: Path) -> None:
    write_emnist(tmp_path, "letters", 26, first=1)
    digits = write_emnist(tmp_path, "digits", 10, first=0)
    message = refusal(tmp_path)
    assert "holds several data sets; give one of these files: emnist-digits-train-images-idx3-ubyte.gz, " in message
    data = load(tmp_path / "emnist-digits-train-images-idx3-ubyte.gz")
    assert np.array_equal(data.images[:, 0], digits)
    assert data.classes == 10


def test_qmnist_labels_are_the_first_of_eight_columns(tmp_path: Path) -> None:
    images = pixels(40, 28, 28)
    columns = RNG.integers(0, 4000, (40, 8), dtype=np.int32)
    columns[:, 0] = labels(40)
    for part, rows in (("train", slice(30)), ("test", slice(30, None))):
        write_idx(tmp_path / f"qmnist-{part}-images-idx3-ubyte.gz", images[rows])
        write_idx(tmp_path / f"qmnist-{part}-labels-idx2-int.gz", columns[rows])
    data = load(tmp_path)
    assert np.array_equal(data.images[:, 0], images)
    assert np.array_equal(data.labels, labels(40))
    assert data.notes == ("its label is the first of QMNIST's 8 columns, the digit",)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_with_mnist_s_names_are_read(ending: str, tmp_path: Path) -> None:  # KMNIST has these names too
    images = pixels(40, 28, 28)
    for part, rows in (("train", slice(30)), ("t10k", slice(30, None))):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{ending}", images[rows])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{ending}", labels(40)[rows])
    data = load(tmp_path)
    assert np.array_equal(data.images[:, 0], images)
    assert data.official_test == 10


def test_a_damaged_idx_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels(40))
    for content in (b"", b"\0\0\x08", b"\x01\0\x08\x03" + bytes(99), b"\0\0\x07\x03" + bytes(99)):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
        assert "train-images-idx3-ubyte is no idx file: it starts with" in refusal(tmp_path)
        load_own.__globals__["_array_file"].cache_clear()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 40, 2, 2) + bytes(99))
    assert "holds 99 values, its header says 160" in refusal(tmp_path)


def test_cifar_100_binary_files_are_read(tmp_path: Path) -> None:
    images, fine = pixels(50, 3, 32, 32), labels(50, 5)
    for name, rows in (("train.bin", slice(40)), ("test.bin", slice(40, None))):
        coarse = np.full_like(fine[rows], 99)
        planes = images[rows].reshape(-1, 3072)
        np.concatenate([coarse[:, None], fine[rows][:, None], planes], axis=1).tofile(tmp_path / name)
    for path in (tmp_path, tmp_path / "train.bin"):
        data = load(path)
        assert np.array_equal(data.images, images)
        assert np.array_equal(data.labels, fine)
        assert data.official_test == 10
        assert data.notes == ("its labels are CIFAR-100's fine ones",)
    (tmp_path / "test.bin").write_bytes(bytes(3073))
    load_own.__globals__["_array_file"].cache_clear()
    assert "test.bin holds 3073 bytes, not rows of 3074" in refusal(tmp_path)


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with CIFAR-100's three pickled files, few images in them, and their MD5 sums set in torchvision."""
    ensure_torchvision()
    from torchvision.datasets import CIFAR100

    home = tmp_path / "cifar-100-python"
    home.mkdir()
    sums = {}
    for name, number in (("train", 40), ("test", 8)):
        rows = np.full((number, 3072), 7, np.uint8)
        rows[:, :1024] = 200  # the red plane comes first
        content = pickle.dumps({"data": rows, "fine_labels": labels(number).tolist(), "coarse_labels": [0] * number})
        (home / name).write_bytes(content)
        sums[name] = md5(content).hexdigest()
    content = pickle.dumps({"fine_label_names": ["a", "b", "c", "d"]})
    (home / "meta").write_bytes(content)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": md5(content).hexdigest()})
    return home


def test_cifar_100_pickled_files_are_read_after_their_md5_is_checked(cifar100: Path) -> None:
    for path in (cifar100, cifar100.parent):
        data = load(path)
        assert (data.shape, data.official_test) == ((3, 32, 32), 8)
        assert data.images[:, :, 3, 4].tolist() == [[200, 7, 7]] * 48
        assert np.array_equal(data.labels, np.concatenate([labels(40), labels(8)]))


def test_a_changed_or_missing_pickle_is_refused_before_it_is_opened(cifar100: Path) -> None:
    whole = (cifar100 / "train").read_bytes()
    (cifar100 / "train").write_bytes(whole + b"\0")
    assert refusal(cifar100).startswith(f"{cifar100 / 'train'} is damaged (its MD5 is not")
    (cifar100 / "train").unlink()
    assert "lacks one of CIFAR-100's files: train, test, meta" in refusal(cifar100)


def test_files_that_cannot_be_read_are_answered_with_what_to_do(tmp_path: Path) -> None:
    assert "write numpy.savez(FILE, images=X.transpose(3, 2, 0, 1)" in refusal(tmp_path / "train_32x32.mat")
    (tmp_path / "cifar" / "data_batch_1").mkdir(parents=True)
    assert f"data=cifar10 data.root={tmp_path} reads them" in refusal(tmp_path / "cifar")
    (tmp_path / "other").mkdir()
    assert "holds no files with the names of a data set" in refusal(tmp_path / "other")
