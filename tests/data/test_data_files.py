"""Data sets in files: where they are looked for, how they are read, what is refused. No test uses the network."""

import dataclasses
import gzip
import pickle
import socket
import struct
import subprocess
import sys
from hashlib import md5
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from bnbench.data import DATASETS, DataError, load_data
from bnbench.data.idx import read_idx
from bnbench.tensors.vision_ops import ensure_torchvision

CATALOG = dict(DATASETS)  # a copy, before the fixture makes its data sets small
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = 30, 10
FILES = {
    "train-images-idx3-ubyte": (TRAIN, 28, 28),
    "train-labels-idx1-ubyte": (TRAIN,),
    "t10k-images-idx3-ubyte": (TEST, 28, 28),
    "t10k-labels-idx1-ubyte": (TEST,),
}


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx_files(folder: Path, *, zipped: bool = False) -> dict[str, np.ndarray]:
    """Four small files named as MNIST's, the same content on every call."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 10, shape, np.uint8) for name, shape in FILES.items()}
    for name, array in arrays.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (folder / name).write_bytes(idx_bytes(array))
    return arrays


@pytest.fixture(autouse=True)
def small_sets(monkeypatch):
    """Makes the MNIST sets of the catalog small, so that small files are complete."""
    for name in ("mnist", "fashion_mnist"):
        small = dataclasses.replace(DATASETS[name], train=TRAIN - 5, val=5, test=TEST, checksum="")
        monkeypatch.setitem(DATASETS, name, small)
    monkeypatch.setattr("bnbench.data.mnist_files._DEBIAN_FOLDER", None)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def refusal(name: str, **arguments) -> str:
    with pytest.raises(DataError) as caught:
        load_data(name, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
def test_mnist_is_read_from_each_place_with_train_rows_before_test_rows(place, tmp_path):
    arrays = write_idx_files(tmp_path / place)
    data = load_data("mnist", root=tmp_path, download=False)
    images = [arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]]
    labels = [arrays["train-labels-idx1-ubyte"], arrays["t10k-labels-idx1-ubyte"]]
    assert np.array_equal(data.images, np.concatenate(images)[:, None])
    assert np.array_equal(data.labels, np.concatenate(labels))
    assert data.official_test == TEST
    assert data.source == f"idx files in {tmp_path / place}"


def test_fashion_mnist_is_read_from_the_system_folder_without_a_root(tmp_path, monkeypatch):
    write_idx_files(tmp_path, zipped=True)
    monkeypatch.setattr("bnbench.data.mnist_files._DEBIAN_FOLDER", tmp_path)
    assert load_data("fashion_mnist", download=False).source == f"idx files in {tmp_path}"


def test_raw_and_gz_files_have_the_same_checksum(tmp_path):
    write_idx_files(tmp_path / "a")
    write_idx_files(tmp_path / "b", zipped=True)
    a, b = (load_data("mnist", root=tmp_path / folder) for folder in "ab")
    assert a.checksum == b.checksum


def test_a_folder_with_three_of_the_four_files_is_passed_over(tmp_path):
    write_idx_files(tmp_path)
    write_idx_files(tmp_path / "raw", zipped=True)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert load_data("mnist", root=tmp_path).source == f"idx files in {tmp_path / 'raw'}"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named_wherever_it_is_cut(name, zipped, tmp_path):
    write_idx_files(tmp_path, zipped=zipped)
    path = tmp_path / (f"{name}.gz" if zipped else name)
    whole = path.read_bytes()
    for length in (0, 1, 3, 5, 9, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refusal("mnist", root=tmp_path).startswith(f"{path} ")


def test_longer_file_is_refused(tmp_path):
    write_idx_files(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"\0")
    assert refusal("mnist", root=tmp_path).startswith(f"{path} holds 31 values, its header says 30")


def test_broken_gzip_stream_is_named(tmp_path):
    write_idx_files(tmp_path, zipped=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    for place in (10, len(content) // 2, len(content) - 6):  # the deflated stream's head and body, its CRC
        broken = content.copy()
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        assert refusal("mnist", root=tmp_path).startswith(f"{path} cannot be read")


def test_wrong_magic_number_is_refused_with_both_numbers(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.zeros((2, 3), np.uint8)))
    with pytest.raises(DataError, match="labels starts with 00000802, not with 00000801 as an idx file"):
        read_idx(path, (6,))


def test_file_of_another_size_is_named(tmp_path):
    write_idx_files(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(np.zeros((TRAIN, 14, 56), np.uint8)))
    assert refusal("mnist", root=tmp_path).startswith(f"{path} holds shape (30, 14, 56), not (30, 28, 28)")


def test_another_data_set_under_the_right_names_is_refused(tmp_path, monkeypatch):
    write_idx_files(tmp_path)
    checksum = load_data("mnist", root=tmp_path).checksum
    monkeypatch.setitem(DATASETS, "mnist", dataclasses.replace(DATASETS["mnist"], checksum=checksum))
    load_data("mnist", root=tmp_path)
    assert "hold the images of data=mnist" in refusal("fashion_mnist", root=tmp_path)
    monkeypatch.setitem(DATASETS, "mnist", dataclasses.replace(DATASETS["mnist"], checksum="0" * 64))
    assert "hold other images or labels" in refusal("mnist", root=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_files_of_the_right_names_and_sizes_with_the_images_of_a_set_outside_the_catalog_are_refused(
    name, tmp_path, monkeypatch
):
    write_idx_files(tmp_path)
    small = dataclasses.replace(CATALOG[name], train=TRAIN - 5, val=5, test=TEST)  # with the real set's checksum
    monkeypatch.setitem(DATASETS, name, small)
    message = refusal(name, root=tmp_path, download=False)
    assert message.startswith(f"data={name}: idx files in {tmp_path} hold other images or labels; use the original")
    assert "data=arrays data.path=FOLDER for another set in files of these names, such as KMNIST" in message


def test_every_set_of_the_catalog_has_a_checksum_or_md5_sums():
    without_checksum = {name for name, info in CATALOG.items() if len(info.checksum) != 64}
    assert without_checksum == {"cifar10"}  # the MD5 of its seven files is tested below


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_is_that_of_the_catalog(monkeypatch):
    monkeypatch.setitem(DATASETS, "fashion_mnist", CATALOG["fashion_mnist"])
    monkeypatch.setattr("bnbench.data.mnist_files._DEBIAN_FOLDER", DEBIAN)
    assert load_data("fashion_mnist", download=False).checksum == CATALOG["fashion_mnist"].checksum


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_missing_files_without_network_are_answered_with_folders_and_what_to_do(name, tmp_path, no_network):
    message = refusal(name, root=tmp_path)
    folder = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw", "cifar10": "cifar-10-batches-py"}
    assert f"{tmp_path / folder[name]}" in message
    assert f"the download to {tmp_path} failed (" in message
    assert "Name or service not known" in message
    assert "data.root" in message
    assert "data=mnist_5k" in message
    assert ("dataset-fashion-mnist" in message) == (name == "fashion_mnist")


def test_failed_download_is_translated_and_restores_the_network_timeout(tmp_path, monkeypatch):
    ensure_torchvision()
    from torchvision import datasets

    timeouts = []

    def unreachable(_self):
        timeouts.append(socket.getdefaulttimeout())
        raise URLError("no route to host")

    monkeypatch.setattr(datasets.MNIST, "download", unreachable)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(77.0)
    try:
        assert "no route to host" in refusal("mnist", root=tmp_path)
        assert (timeouts, socket.getdefaulttimeout()) == ([10.0], 77.0)
    finally:
        socket.setdefaulttimeout(before)


def test_downloaded_files_are_read_from_torchvisions_folder_in_the_cache(tmp_path, monkeypatch):
    ensure_torchvision()
    from torchvision import datasets

    monkeypatch.setattr(datasets.MNIST, "download", lambda self: write_idx_files(Path(self.raw_folder)) and None)
    data = load_data("mnist", cache_dir=tmp_path)
    assert data.source == f"idx files in {tmp_path / 'torchvision' / 'MNIST' / 'raw'}"
    assert load_data("mnist", cache_dir=tmp_path, download=False).checksum == data.checksum


def test_an_error_says_that_downloading_is_switched_off(tmp_path):
    assert "downloading is switched off" in refusal("mnist", root=tmp_path, download=False)


def test_an_error_says_that_there_is_no_folder_to_download_to():
    assert "neither data.root nor a cache is set" in refusal("mnist")


@pytest.fixture
def small_cifar10(tmp_path, monkeypatch) -> Path:
    """A folder with CIFAR-10's seven files, ten images a batch, and their MD5 sums set in torchvision."""
    ensure_torchvision()
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    sums = {}
    for number, (name, _) in enumerate(CIFAR10.train_list + CIFAR10.test_list):
        pixels = np.full((10, 3072), number, np.uint8)
        pixels[:, :1024] += 100  # the red plane comes first
        pixels[:, 5 * 32 + 7] = 99  # row 5, column 7
        content = pickle.dumps({"data": pixels, "labels": list(range(10))})
        (folder / name).write_bytes(content)
        sums[name] = md5(content).hexdigest()
    content = pickle.dumps({"label_names": [str(c) for c in range(10)]})
    (folder / "batches.meta").write_bytes(content)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(content).hexdigest()})
    small = dataclasses.replace(DATASETS["cifar10"], train=45, val=5, test=10)
    monkeypatch.setitem(DATASETS, "cifar10", small)
    return tmp_path


def test_cifar10_has_channels_first_and_test_rows_last(small_cifar10):
    data = load_data("cifar10", root=small_cifar10, download=False)
    assert data.images.shape == (60, 3, 32, 32)
    assert data.images.flags.c_contiguous
    assert data.images[::10, :, 5, 5].tolist() == [[100 + n, n, n] for n in range(6)]
    assert (data.images[:, 0, 5, 7] == 99).all()
    assert data.labels.tolist() == list(range(10)) * 6
    assert data.official_test == 10


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_damaged_cifar10_file_is_named(file, small_cifar10):
    path = small_cifar10 / "cifar-10-batches-py" / file
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal("cifar10", root=small_cifar10).startswith(f"{path} is damaged")


def test_missing_cifar10_file_is_not_called_damaged(small_cifar10, no_network):
    (small_cifar10 / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert "not found together in" in refusal("cifar10", root=small_cifar10)


def test_importing_the_package_imports_no_torch_and_no_parser():
    code = "import sys, bnbench.data; sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'mlxtend')))"
    root = Path(sys.modules["bnbench.data"].__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
