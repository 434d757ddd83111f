"""Data sets that come inside packages, their checksums and their cache."""

import functools
import multiprocessing
import os
import sys
import warnings

import numpy as np
import pytest

from bnbench.config import DataConfig
from bnbench.config.folder import conf_dir
from bnbench.data import (
    DATASETS,
    OWN,
    DataError,
    ImageData,
    MissingDataError,
    dataset_info,
    load_data,
    load_images,
)
from bnbench.data.cache import cached


def toy_data(images: np.ndarray | None = None, labels: np.ndarray | None = None) -> ImageData:
    images = np.zeros((3, 1, 2, 2), np.uint8) if images is None else images
    labels = np.arange(3) if labels is None else labels
    return ImageData.from_arrays("toy", images, labels, classes=3, source="a test")


def build() -> dict[str, np.ndarray]:
    return {"images": np.arange(6, dtype=np.uint8), "labels": np.arange(2)}


def forbidden() -> dict[str, np.ndarray]:
    raise AssertionError("the arrays were built again, although they are cached")


@pytest.mark.parametrize("name", ["mnist_5k", "digits"])
def test_embedded_set_is_what_its_entry_says(name, tmp_path):
    data, info = load_data(name, cache_dir=tmp_path), DATASETS[name]
    assert data.images.shape == (info.images, *info.shape)
    assert data.shape == info.shape
    assert data.images.dtype == np.uint8
    assert data.images.flags.c_contiguous
    assert data.labels.dtype == np.int64
    assert data.checksum == info.checksum
    assert (data.images.min(), data.images.max()) == (0, 255)


def test_digits_are_scikit_learns_times_255_16ths():
    from sklearn.datasets import load_digits

    blocks = load_digits().images
    data = load_data("digits")
    assert np.abs(data.images[:, 0] - blocks * 255 / 16).max() <= 0.5
    assert np.array_equal(data.labels, load_digits().target)


def test_cached_load_gives_the_same_bytes_and_imports_no_parser(tmp_path, monkeypatch):
    first = load_data("digits", cache_dir=tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # so that importing it fails
    again = load_data("digits", cache_dir=tmp_path)
    assert again.checksum == first.checksum
    assert again.source == first.source


def test_cache_returns_what_was_built(tmp_path):
    path = tmp_path / "new folder" / "toy.cache"
    cached(path, build)
    arrays = cached(path, forbidden)
    assert {key: array.tolist() for key, array in arrays.items()} == {
        "images": [0, 1, 2, 3, 4, 5],
        "labels": [0, 1],
    }


def test_no_cache_folder_means_no_cache():
    assert cached(None, build).keys() == build().keys()


@pytest.mark.parametrize("damage", ["empty", "half", "one bit", "head", "longer"])
def test_damaged_cache_is_rebuilt_with_one_warning(damage, tmp_path):
    path = tmp_path / "toy.cache"
    cached(path, build)
    content = bytearray(path.read_bytes())
    whole = bytes(content)
    if damage == "empty":
        content = bytearray()
    elif damage == "half":
        del content[len(content) // 2 :]
    elif damage == "one bit":
        content[len(content) // 2] ^= 1
    elif damage == "head":
        content[0] ^= 1
    else:
        content += b"\0"
    path.write_bytes(content)

    with pytest.warns(UserWarning, match="is damaged; building it again") as caught:
        arrays = cached(path, build)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert arrays["images"].tolist() == [0, 1, 2, 3, 4, 5]
    assert path.read_bytes() == whole
    cached(path, forbidden)


def test_cache_that_cannot_be_written_does_not_stop_the_load(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="cannot be written"):
        arrays = cached(tmp_path / "file" / "toy.cache", build)
    assert arrays["labels"].tolist() == [0, 1]


def test_full_disk_does_not_stop_the_load_and_leaves_no_draft(tmp_path, monkeypatch):
    def raise_disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", raise_disk_full)
    with pytest.warns(UserWarning, match="No space left on device"):
        cached(tmp_path / "toy.cache", build)
    assert list(tmp_path.iterdir()) == []


def test_cache_is_never_half_written_for_a_reader(tmp_path, monkeypatch):
    path = tmp_path / "toy.cache"
    existed_before = []
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda *a: (existed_before.append(path.exists()), replace(*a)))
    cached(path, build)
    assert existed_before == [False]  # the name appears only with the whole content


def test_two_processes_can_make_the_same_cache_at_once(tmp_path):
    load = functools.partial(load_data, cache_dir=tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(load, ["digits", "digits"], chunksize=1)
    assert [data.checksum for data in results] == [DATASETS["digits"].checksum] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["digits-1.cache"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load("digits")


def test_checksum_changes_with_one_pixel_one_label_and_the_shape():
    pixel = np.zeros((3, 1, 2, 2), np.uint8)
    pixel[2, 0, 1, 1] = 1
    variants = [
        toy_data(),
        toy_data(images=pixel),
        toy_data(labels=np.array([0, 1, 1])),
        toy_data(images=np.zeros((3, 1, 1, 4), np.uint8)),
    ]
    assert len({data.checksum for data in variants}) == len(variants)


def test_checksum_sees_content_not_memory_layout():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 4), np.uint8)
    fortran = np.asfortranarray(images)
    assert toy_data(images=images).checksum == toy_data(images=fortran).checksum
    assert toy_data(images=fortran).images.flags.c_contiguous
    assert toy_data(labels=np.arange(3, dtype=np.uint8)).checksum == toy_data(labels=np.arange(3, dtype=">i4")).checksum


def test_changed_content_of_an_embedded_set_is_refused(tmp_path, monkeypatch):
    other = {"images": np.zeros((1797, 1, 8, 8), np.uint8), "labels": np.zeros(1797, np.int64)}
    monkeypatch.setattr("bnbench.data.embedded._digits", lambda: other)
    with pytest.raises(DataError, match="data=digits: scikit-learn's 1,797 digits hold other images or labels"):
        load_data("digits")


def test_unknown_name_is_answered_with_the_allowed_names(tmp_path):
    with pytest.raises(DataError, match="data=mnits is unknown; choose one of mnist_5k, digits, mnist, "):
        load_data("mnits")
    for look_up in (dataset_info, lambda data: load_images(data, tmp_path)):
        with pytest.raises(DataError, match=r"data=mnits is unknown; .*mnist_5k, digits, mnist, "):
            look_up(DataConfig(name="mnits"))


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_s_loader_loads_that_data_set(name):
    """It loads the data set of this name, or says which of its files are missing."""
    try:
        answer = f"data={load_data(name, download=False).name}: "
    except MissingDataError as error:
        answer = str(error)
    assert answer.startswith(f"data={name}: ")


def test_every_data_set_has_a_configuration_file():
    assert {file.stem for file in (conf_dir() / "data").glob("*.yaml")} == {*DATASETS, *OWN}


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.array([0, 1, 3]), r"labels 0\.\.3, allowed 0\.\.2"), (np.arange(2), "3 images")],
)
def test_labels_that_do_not_fit_the_images_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        toy_data(labels=labels)
