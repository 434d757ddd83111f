"""Splits, judged by counting."""

import numpy as np
import pytest

from bnbench.data import DATASETS, DataError, ImageData, Split, load_data, split_checksum, split_data

KINDS = ("fixed", "by_seed")


def synthetic_data(name: str, counts: list[int], *, official_test: int = 0, shuffle_seed: int = 0) -> ImageData:
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(shuffle_seed).shuffle(labels)
    images = np.zeros((len(labels), 1, 2, 2), np.uint8)
    return ImageData.from_arrays(
        name, images, labels, classes=len(counts), source="a test", official_test=official_test
    )


def like_mnist(name: str = "mnist") -> ImageData:
    """As many random labels as MNIST or CIFAR-10 has images, each image a single black pixel."""
    labels = np.random.default_rng(0).integers(0, 10, 70_000 if name == "mnist" else 60_000)
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return ImageData.from_arrays(name, images, labels, classes=10, source="a test", official_test=10_000)


def class_counts(data: ImageData, rows: np.ndarray) -> list[int]:
    return np.bincount(data.labels[rows], minlength=data.classes).tolist()


def all_rows(split: Split) -> np.ndarray:
    return np.concatenate([split.train, split.val, split.test])


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mnist_5k", "digits"])
def test_embedded_splits_have_the_sizes_of_the_catalog_and_use_every_image_once(name, kind, cache_dir):
    data, info = load_data(name, cache_dir=cache_dir), DATASETS[name]
    split = split_data(data, kind=kind, seed=3)
    assert [len(split.train), len(split.val), len(split.test)] == [info.train, info.val, info.test]
    assert np.array_equal(np.sort(all_rows(split)), np.arange(info.images))
    assert max(class_counts(data, split.test)) / info.test == info.largest_class
    assert {rows.dtype for rows in (split.train, split.val, split.test)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("kind", KINDS)
def test_mnist_5k_splits_every_class_350_50_100(kind, cache_dir):
    data = load_data("mnist_5k", cache_dir=cache_dir)
    split = split_data(data, kind=kind, seed=0)
    assert class_counts(data, split.train) == [350] * 10
    assert class_counts(data, split.val) == [50] * 10
    assert class_counts(data, split.test) == [100] * 10


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_gives_its_share_to_within_one_image(kind):
    counts = [7, 100, 33, 61, 299]
    data = synthetic_data("toy", counts)
    split = split_data(data, kind=kind, seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (350, 50, 100)
    for rows, share in ((split.test, 0.2), (split.val, 0.1), (split.train, 0.7)):
        # each drawn part is less than one image off its share of what the parts before it left, so train less than two
        assert np.abs(np.array(class_counts(data, rows)) - share * np.array(counts)).max() < 2


def test_first_images_of_each_split_are_a_fair_subset():
    data = synthetic_data("toy", [100, 200, 300, 400])
    split = split_data(data, kind="by_seed", seed=0)
    for rows in (split.train, split.val, split.test):
        for n in (10, 20, 50, 90):
            assert np.abs(np.array(class_counts(data, rows[:n])) - n * np.array([0.1, 0.2, 0.3, 0.4])).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_subset_keeps_the_first_training_images_and_all_others(kind):
    data = synthetic_data("toy", [100, 200, 300, 400])
    whole, part = (split_data(data, kind=kind, seed=2, train_examples=n) for n in (None, 40))
    assert part.train.tolist() == whole.train[:40].tolist()
    assert (part.val.tolist(), part.test.tolist()) == (whole.val.tolist(), whole.test.tolist())
    assert split_checksum(part) != split_checksum(whole)


def test_equal_classes_take_turns(cache_dir):
    data = load_data("mnist_5k", cache_dir=cache_dir)
    split = split_data(data, kind="fixed", seed=0)
    assert data.labels[split.val].tolist() == list(range(10)) * 50


def test_splits_do_not_follow_the_order_of_the_file(cache_dir):
    data = load_data("mnist_5k", cache_dir=cache_dir)
    ones = [row for row in split_data(data, kind="fixed", seed=0).train if data.labels[row] == 1]
    assert ones != sorted(ones)


def test_fixed_split_is_the_same_for_every_seed():
    data = synthetic_data("toy", [50, 60])
    assert split_checksum(split_data(data, kind="fixed", seed=0)) == split_checksum(
        split_data(data, kind="fixed", seed=1)
    )


def test_by_seed_repeats_with_its_seed_and_changes_with_another():
    data = synthetic_data("toy", [50, 60])
    first, repeated, other = (split_data(data, kind="by_seed", seed=seed) for seed in (0, 0, 1))
    assert split_checksum(first) == split_checksum(repeated) != split_checksum(other)
    assert set(first.test) != set(other.test)


def test_fixed_splits_of_embedded_sets_are_unchanged(cache_dir):
    checksums = {
        name: split_checksum(split_data(load_data(name, cache_dir=cache_dir), kind="fixed", seed=0))
        for name in ("mnist_5k", "digits")
    }
    assert checksums == {
        "mnist_5k": "1b958b2847deecfcd57043d811b95f8d55de6d2a21ef44212e0852c65aa644ab",
        "digits": "79154f225af17ed9c5c52e5a75a260c220d8f8bd22e82c07336cd626090f88ad",
    }


def test_mnist_validates_on_its_first_5000_training_images_and_tests_on_its_test_file():
    split = split_data(like_mnist(), kind="fixed", seed=0)
    assert np.array_equal(np.sort(split.val), np.arange(5_000))
    assert np.array_equal(np.sort(split.train), np.arange(5_000, 60_000))
    assert np.array_equal(np.sort(split.test), np.arange(60_000, 70_000))


def test_cifar10_validates_on_its_last_5000_training_images():
    split = split_data(like_mnist("cifar10"), kind="fixed", seed=0)
    assert np.array_equal(np.sort(split.val), np.arange(45_000, 50_000))
    assert np.array_equal(np.sort(split.test), np.arange(50_000, 60_000))


def test_by_seed_redraws_validation_in_proportion_but_never_the_official_test():
    data = like_mnist()
    first, other = (split_data(data, kind="by_seed", seed=seed) for seed in (0, 1))
    for split in (first, other):
        assert np.array_equal(np.sort(split.test), np.arange(60_000, 70_000))
        assert (len(split.train), len(split.val)) == (55_000, 5_000)
        exact = np.array(class_counts(data, np.arange(60_000))) / 12
        assert np.abs(class_counts(data, split.val) - exact).max() < 1
    assert set(first.val) != set(other.val)


def test_unknown_kind_is_refused_with_the_allowed_kinds():
    with pytest.raises(DataError, match=r"data\.split=random is unknown; use data\.split=fixed or"):
        split_data(synthetic_data("toy", [5, 5]), kind="random", seed=0)


def test_split_checksum_depends_on_the_part_and_the_place_of_a_row():
    rows = np.arange(6)
    split = Split(rows[:4], rows[4:5], rows[5:])
    moved = Split(rows[:4], rows[5:], rows[4:5])
    reversed_train = Split(rows[:4][::-1], rows[4:5], rows[5:])
    assert len({split_checksum(s) for s in (split, moved, reversed_train)}) == 3
