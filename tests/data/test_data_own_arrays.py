"""Arrays that users bring: shapes and labels are read as they are meant, with notes, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnbench.config import DataConfig
from bnbench.data import DataError, ImageData, dataset_info, split_data
from bnbench.data.own_arrays import image_data

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def make_data(images: np.ndarray, labels: Any = None, **more: Any) -> ImageData:
    labels = np.arange(len(images)) % 3 if labels is None else np.asarray(labels)
    return image_data("arrays", {"images": images, "labels": labels, **more}, "a test")


def refusal(images: np.ndarray, labels: Any = None, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        make_data(images, labels, **more)
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((28, 28), (1, 28, 28)),
        ((3, 28, 28), (3, 28, 28)),
        ((1, 2, 2), (1, 2, 2)),
        ((3, 4, 5), (3, 4, 5)),
        ((4, 32, 20), (4, 32, 20)),
        ((10, 32, 20), (10, 32, 20)),  # such as the bands of a satellite image
        ((28, 28, 3), (3, 28, 28)),
        ((28, 28, 1), (1, 28, 28)),
        ((20, 32, 3), (3, 20, 32)),
        ((16, 16, 4), (4, 16, 16)),
    ],
)
def test_channels_are_the_axis_that_can_be_channels(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
    images = pixels(30, *shape)
    data = make_data(images)
    assert data.shape == image_shape
    if len(shape) == 3 and image_shape != shape:
        assert np.array_equal(data.images, images.transpose(0, 3, 1, 2))
        axes = ", ".join(map(str, shape))
        assert data.notes == (f"its images have their channels last, (M, {axes}), and are read so",)
    else:
        assert np.array_equal(data.images, images.reshape(30, *image_shape))
        assert data.notes == ()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((100, 28, 28, 28), "which are volumes"),  # MedMNIST3D
        ((32, 32, 3, 500), "if that is (H, W, C, M), as in SVHN, images.transpose(3, 2, 0, 1) makes (M, C, H, W)"),
        ((100, 32, 32, 10), "with more channels than rows or columns"),
        ((100, 4, 4, 3), "which may be 4 or 3 channels"),
        ((100, 784), "they must be uint8 of shape"),
        ((100, 1, 28, 28, 1), "they must be uint8 of shape"),
    ],
)
def test_shapes_that_cannot_be_images_are_refused(shape: tuple[int, ...], message: str) -> None:
    assert message in refusal(pixels(*shape), np.arange(100) % 3)


@pytest.mark.parametrize(
    ("images", "way_out"),
    [
        (RNG.random((30, 4, 5)), "(images * 255).round().astype('uint8')"),
        (np.arange(600).reshape(30, 4, 5), "images.astype('uint8')"),
        (np.arange(600, dtype=np.uint16).reshape(30, 4, 5), "(images / 257).round().astype('uint8')"),
        (RNG.random((30, 4, 5)) > 0.5, "images.astype('uint8') * 255"),
    ],
)
def test_images_of_other_types_are_refused_with_the_conversion_to_uint8(images: np.ndarray, way_out: str) -> None:
    assert way_out in refusal(images)


def test_images_of_one_value_are_refused() -> None:
    assert "every pixel is 7; there is nothing to train on" in refusal(np.full((30, 4, 5), 7, np.uint8))


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        (np.arange(130) % 26 + 1, "1 to 26"),
        (np.arange(130) % 10 * 10, "0, 10, 20, 30, 40, 50, 60, 70, 80, 90"),
        (np.where(np.arange(130) == 3, 10**6, np.arange(130) % 4), "0, 1, 2, 3, 1000000"),
        (np.where(np.arange(130) % 2, 2**31 - 1, 5), "5, 2147483647"),
        (np.arange(130) % 20 * 7, "0, 7, 14, 21, 28, 35, 42, 49, 56, 63, …, 133"),
    ],
)
def test_labels_that_leave_classes_out_become_classes_without_gaps_and_a_note_says_so(
    labels: np.ndarray, listed: str
) -> None:
    data = make_data(pixels(130, 4, 5), labels)
    distinct = np.unique(labels)
    assert data.classes == len(distinct)
    assert np.array_equal(distinct[data.labels], labels)
    assert data.notes == (f"its labels {listed} became classes 0 to {len(distinct) - 1}, in order",)
    assert data.class_names == tuple(map(str, distinct))


def test_labels_from_0_on_stay_and_give_no_note() -> None:
    labels = np.arange(30) % 5
    data = make_data(pixels(30, 4, 5), labels)
    assert np.array_equal(data.labels, labels)
    assert (data.classes, data.notes) == (5, ())


def test_labels_in_a_column_are_read() -> None:  # MedMNIST has them in a column
    labels = np.arange(30) % 3
    assert np.array_equal(make_data(pixels(30, 4, 5), labels[:, None].astype(np.uint8)).labels, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(30, int), "images of one class alone, label 0"),
        (np.full(30, 9), "images of one class alone, label 9"),
        (np.arange(30), "30 different labels for 30 training images"),
        (np.arange(30) % 3 - 1, "labels -1..1; they must be 0 or more"),
        (np.zeros((30, 14), int), "14 per image; bnbench trains on one label per image"),  # ChestMNIST
        (np.arange(29) % 3, "30 images, labels (29,)"),
        (np.linspace(0, 1, 30), "they must be integers"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(labels: np.ndarray, message: str) -> None:
    assert message in refusal(pixels(30, 4, 5), labels)


@pytest.mark.parametrize("part", ["test", "val"])
def test_labels_that_no_training_image_has_are_named(part: str) -> None:
    more = {f"{part}_images": pixels(9, 4, 5), f"{part}_labels": np.array([0, 1, 2, 5, 5, 9, 0, 1, 2])}
    assert f"{part} labels that no training image has: 5, 9" in refusal(pixels(30, 4, 5), **more)


@pytest.mark.parametrize("kind", ["fixed", "by_seed"])
def test_a_class_that_the_split_leaves_nothing_to_train_on_is_named(kind: str) -> None:
    rare = make_data(
        pixels(31, 4, 5), [*np.repeat([0, 10, 20, 30, 50], 6), 40]
    )  # the one image of class 40 has the largest remainder
    with pytest.raises(DataError, match="class 40 has 1 of the images to be split, and none of them is left to train"):
        split_data(rare, kind=kind, seed=0)
    trained = make_data(pixels(31, 4, 5), [*np.repeat([0, 10], 15), 40])
    assert set(trained.labels[split_data(trained, kind=kind, seed=0).train]) == {0, 1, 2}


def test_validation_images_in_the_file_validate_under_every_seed() -> None:
    val, test = pixels(8, 4, 5), pixels(9, 4, 5)
    parts = {"val_images": val, "val_labels": np.arange(8) % 3, "test_images": test, "test_labels": np.arange(9) % 3}
    data = make_data(pixels(40, 4, 5), **parts)
    for kind, seed in (("fixed", 0), ("by_seed", 1), ("by_seed", 2)):
        split = split_data(data, kind=kind, seed=seed)
        assert np.array_equal(np.sort(split.train), np.arange(40))
        assert np.array_equal(data.images[np.sort(split.val), 0], val)
        assert np.array_equal(data.images[np.sort(split.test), 0], test)


def test_validation_images_without_test_images_leave_a_fifth_of_the_others_to_test() -> None:
    data = make_data(pixels(40, 4, 5), val_images=pixels(8, 4, 5), val_labels=np.arange(8) % 3)
    split = split_data(data, kind="fixed", seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (32, 8, 8)
    assert np.array_equal(np.sort(split.val), np.arange(40, 48))


def test_validation_is_drawn_from_every_class_if_labels_are_sorted() -> None:
    test = {"test_images": pixels(9, 4, 5), "test_labels": np.arange(9) % 3}
    data = make_data(pixels(60, 4, 5), np.repeat([0, 1, 2], 20), **test)
    split = split_data(data, kind="fixed", seed=0)
    assert np.bincount(data.labels[split.val]).tolist() == [2, 2, 2]


def test_a_note_says_what_a_data_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data(pixels(30, 28, 28, 3) // 2, np.arange(30) % 2 + 1)
    monkeypatch.setattr("bnbench.data.own.load_own", lambda _: data)
    assert dataset_info(DataConfig(name="arrays")).notes == (
        f"30 images of 3 channels, 28 x 28, with values 0 to {data.images.max()}, in 2 classes of 15",
        *data.notes,
    )
