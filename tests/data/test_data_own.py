"""Data sets that users bring: arrays, image folders and functions are read, or refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bnbench.config import ConfigError, DataConfig
from bnbench.data import DataError, dataset_info, load_own, split_data
from bnbench.examples.images import stripes

RNG = np.random.default_rng(0)


def random_arrays(count: int = 30, shape: tuple[int, ...] = (4, 5), classes: int = 3) -> dict[str, np.ndarray]:
    return {
        "images": RNG.integers(0, 256, (count, *shape), dtype=np.uint8),
        "labels": np.arange(count) % classes,
    }


def saved_arrays(path: Path, **content: np.ndarray) -> DataConfig:
    np.savez(path / "own.npz", **content)
    return DataConfig(name="arrays", path=str(path / "own.npz"))


def test_arrays_are_read_as_they_are(tmp_path: Path) -> None:
    content = random_arrays(shape=(3, 4, 5))
    data = load_own(saved_arrays(tmp_path, **content))
    assert np.array_equal(data.images, content["images"])
    assert np.array_equal(data.labels, content["labels"])
    assert (data.shape, data.classes, data.official_test) == ((3, 4, 5), 3, 0)


def test_images_without_channels_have_one(tmp_path: Path) -> None:
    assert load_own(saved_arrays(tmp_path, **random_arrays(shape=(4, 5)))).shape == (1, 4, 5)


def test_test_images_in_the_file_are_the_test_set(tmp_path: Path) -> None:
    train, test = random_arrays(40), random_arrays(9)
    config = saved_arrays(tmp_path, **train, test_images=test["images"], test_labels=test["labels"])
    data = load_own(config)
    split = split_data(data, kind="by_seed", seed=1)
    assert np.array_equal(data.images[np.sort(split.test)][:, 0], test["images"])
    info = dataset_info(config)
    assert (info.train, info.val, info.test, info.official_test) == (36, 4, 9, True)
    assert info.largest_class == pytest.approx(3 / 9)


def test_sizes_in_the_plan_are_those_of_the_split(tmp_path: Path) -> None:
    config = saved_arrays(tmp_path, **random_arrays(53))
    info, split = dataset_info(config), split_data(load_own(config), kind="fixed", seed=0)
    assert (info.train, info.val, info.test) == (len(split.train), len(split.val), len(split.test)) == (38, 5, 10)
    assert (info.shape, info.classes) == ((1, 4, 5), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "holds images; it must hold images and labels"),
        ({"pixels": np.zeros(3)}, "holds images, labels, pixels;"),
        ({"images": np.zeros((30, 4, 5))}, "images of float64 (30, 4, 5); they must be uint8"),
        ({"images": np.zeros((30, 20), np.uint8)}, "(30, 20); they must be uint8 of shape (M, C, H, W), "),
        ({"labels": np.zeros(30)}, "labels of float64 (30,); they must be integers"),
        ({"labels": np.zeros(29, int)}, "30 images, labels (29,)"),
        ({"labels": np.arange(30) - 1}, "labels -1..28"),
        ({"test_images": np.zeros((9, 4, 5), np.uint8)}, "give both or neither"),
        ({"test_images": np.zeros((9, 4, 6), np.uint8), "test_labels": np.zeros(9, int)}, "sizes differ"),
        ({"images": np.eye(9, dtype=np.uint8)[:, None], "labels": np.zeros(9, int)}, "9 images; it must hold"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_data_set_are_refused_in_one_line(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = {key: value for key, value in (random_arrays() | change).items() if value is not None}
    assert message in refusal(saved_arrays(tmp_path, **content))


def refusal(config: DataConfig) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        load_own(config)
    [line] = str(caught.value).splitlines()
    return line


def test_a_file_that_is_no_npz_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    assert "is no .npz file" in refusal(DataConfig(name="arrays", path=str(file)))
    file.write_bytes(b"PK\x03\x04 but no more")
    assert "is no .npz file" in refusal(DataConfig(name="arrays", path=str(file)))
    assert refusal(DataConfig(name="arrays")) == "data=arrays needs data.path; give it"


@pytest.mark.parametrize(("name", "key"), [("arrays", "path"), ("folder", "root")])
def test_a_folder_without_permission_to_read_is_refused_in_one_line(
    name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "iterdir", forbidden)  # root, who may run the tests, has permission to read any folder
    line = refusal(DataConfig(name=name, **{key: str(tmp_path)}))
    assert line.startswith(f"data.{key}={tmp_path} cannot be read: PermissionError: ")


def draw(folder: Path, name: str, count: int, size: tuple[int, int] = (6, 4), mode: str = "L") -> np.ndarray:
    (folder / name).mkdir(parents=True, exist_ok=True)
    shape = (count, size[1], size[0]) + ((3,) if mode == "RGB" else ())
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / name / f"{number:02}.png")
    return pixels


def folder_config(root: Path, **settings: Any) -> DataConfig:
    return DataConfig(name="folder", root=str(root), **settings)


def test_a_folder_s_classes_are_its_folders_in_order(tmp_path: Path) -> None:
    dogs, cats = draw(tmp_path, "dog", 7), draw(tmp_path, "cat", 5)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = load_own(folder_config(tmp_path))
    assert data.labels.tolist() == [0] * 5 + [1] * 7
    assert np.array_equal(data.images[:, 0], np.concatenate([cats, dogs]))


def test_colour_images_have_three_channels_and_gray_ones_among_them_too(tmp_path: Path) -> None:
    colour, gray = draw(tmp_path, "a", 6, mode="RGB"), draw(tmp_path, "b", 6)
    data = load_own(folder_config(tmp_path))
    assert np.array_equal(data.images[:6], colour.transpose(0, 3, 1, 2))
    assert all(np.array_equal(data.images[6:, c], gray) for c in range(3))


def test_folders_named_train_and_test_hold_the_training_and_test_images(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("test", 4)):
        for name in ("a", "b"):
            draw(tmp_path / part, name, count)
    data = load_own(folder_config(tmp_path))
    assert (len(data.labels), data.official_test) == (28, 8)
    assert data.labels[-8:].tolist() == [0] * 4 + [1] * 4


def test_images_of_two_sizes_are_refused_unless_resized(tmp_path: Path) -> None:
    draw(tmp_path, "a", 6), draw(tmp_path, "b", 6, size=(8, 9))
    assert "is 8x9" in (line := refusal(folder_config(tmp_path)))
    assert "set data.image_size=N" in line
    assert load_own(folder_config(tmp_path, image_size=5)).shape == (1, 5, 5)


def test_a_folder_that_is_no_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "is not a folder" in refusal(folder_config(tmp_path / "none"))
    assert "needs at least two folders" in refusal(folder_config(tmp_path))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert "has no image files" in refusal(folder_config(tmp_path))
    draw(tmp_path, "b", 3)
    (tmp_path / "a" / "0.png").write_bytes(b"no image")
    assert "0.png cannot be read as an image" in refusal(folder_config(tmp_path))


def test_the_function_of_the_example_makes_a_data_set() -> None:
    config = DataConfig(name="custom", factory="bnbench.examples.images:stripes")
    data = load_own(config)
    assert np.array_equal(data.images[:, 0], stripes()["images"])
    assert dataset_info(config).largest_class == pytest.approx(0.25)


def test_functions_are_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary = "{'images': np.arange(48, dtype=np.uint8).reshape(12, 2, 2), 'labels': np.arange(12) % 2}"
    text = f"import numpy as np\ndef make():\n    return {dictionary}\n"
    (tmp_path / "my_own_images.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert load_own(DataConfig(name="custom", factory="my_own_images:make")).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "data.factory=None is not allowed; it must be package.module:function"),
        ("no colon", "data.factory=no colon is not allowed"),
        ("no_such_module:make", "data.factory=no_such_module:make cannot be imported: ModuleNotFoundError"),
        ("bnbench.examples.images:no", "bnbench.examples.images has none of that name"),
        ("json:loads", "data.factory=json:loads failed: TypeError"),
        ("os:getcwd", "data.factory=os:getcwd returned str; it must be a dict"),
        ("builtins:dict", "holds nothing"),
    ],
)
def test_a_function_that_makes_no_data_set_is_refused_in_one_line(name: str | None, message: str) -> None:
    assert message in refusal(DataConfig(name="custom", factory=name))
