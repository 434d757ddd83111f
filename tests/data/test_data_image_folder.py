"""Image folders as people have them: 16-bit, turned and transparent images, parts, and files that are no images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bnbench.config import DataConfig
from bnbench.data import DataError, ImageData, load_own, split_data

RNG = np.random.default_rng(0)
ORIENTATION = 0x0112


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def draw(folder: Path, count: int, level: int = 0) -> None:
    for i in range(count):
        save(folder / f"{i:02}.png", RNG.integers(level, level + 60, (6, 8), dtype=np.uint8))


def load(root: Path, **settings: Any) -> ImageData:
    return load_own(DataConfig(name="folder", root=str(root), **settings))


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(root)
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(("suffix", "dtype"), [("png", "<u2"), ("tif", "<u2"), ("tif", ">u2"), ("pgm", "<u2")])
def test_16_bit_gray_is_scaled_by_its_type(suffix: str, dtype: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 48).round().astype(np.uint16).reshape(6, 8)
    for name in "ab":
        for i in range(6):
            save(tmp_path / name / f"{i}.{suffix}", (ramp - 0 * i).astype(dtype))
    data = load(tmp_path)
    assert data.shape == (1, 6, 8)
    assert np.abs(data.images[0, 0] - ramp / 257).max() <= 0.5
    assert data.notes == ("12 of its 12 images are 16-bit gray and were scaled to 8 bits, 65535 to white",)


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, "floating-point"), (np.int32, "32-bit whole")])
def test_numbers_without_a_known_white_are_refused(dtype: type, kind: str, tmp_path: Path) -> None:
    draw(tmp_path / "a", 6)
    save(tmp_path / "b" / "0.tif", np.ones((6, 8), dtype))
    assert f"0.tif holds {kind} numbers, of which no value is known to be white; save its pixels as 8 or 16" in refusal(
        tmp_path
    )


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "a", 6), draw(tmp_path / "c", 6)
    (tmp_path / "b").mkdir()
    assert f"{tmp_path / 'b'} is taken for a class and has no image files (it holds nothing)" in refusal(tmp_path)
    (tmp_path / "b" / "photo.heic").write_bytes(b"0")
    assert "(it holds photo.heic)" in refusal(tmp_path)


def test_files_that_operating_systems_leave_behind_are_passed_over(tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / name, 6)
        for junk in ("._00.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (tmp_path / name / junk).write_bytes(b"no image")
    (tmp_path / "__MACOSX" / "a").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "a" / "._00.png").write_bytes(b"no image")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    data = load(tmp_path)
    assert (len(data.labels), data.classes, data.notes) == (12, 2, ())


def test_a_note_names_the_kinds_of_files_that_were_not_read(tmp_path: Path) -> None:
    draw(tmp_path / "a", 6), draw(tmp_path / "b", 6)
    (tmp_path / "b" / "photo.HEIC").write_bytes(b"0")
    assert load(tmp_path).notes == (f"files of .heic in {tmp_path / 'b'} were not read",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_as_their_exif_orientation_says(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((32, 32), np.uint8)
    upright[:8, :16] = 255
    # A camera held that way stores the image turned; a viewer turns it upright. By orientation, PIL's number of the
    # transposition that turns the image as the camera does: the inverse of the one a viewer applies.
    camera_turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for name in "ab":
        for i in range(6):
            image = Image.fromarray(upright)
            if orientation > 1:
                image = image.transpose(Image.Transpose(camera_turns[orientation]))
            exif = image.getexif()
            exif[ORIENTATION] = orientation
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{i}.jpg", exif=exif, quality=95)
    data = load(tmp_path)
    assert np.abs(data.images[0, 0].astype(int) - upright).max() < 40  # JPEG is lossy
    notes = ("12 of its 12 images were turned as their EXIF orientation says",)
    assert data.notes == (notes if orientation > 1 else ())


def test_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        for i in range(6):
            drawing = np.zeros((16, 16, 4), np.uint8)  # black everywhere, but visible only in opaque rows
            drawing[4 * k : 4 * k + 5, :, 3] = 255
            save(tmp_path / name / f"{i}.png", drawing)
    data = load(tmp_path)
    assert data.shape == (3, 16, 16)
    assert (data.images[0, :, :5] == 0).all()
    assert (data.images[0, :, 5:] == 255).all()
    assert data.notes == ("12 of its 12 images have transparent pixels and were laid on white",)


def test_half_transparent_gray_stays_gray_and_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    pixels = np.full((6, 8, 2), 100, np.uint8)
    pixels[..., 1] = 127
    palette = Image.fromarray(np.tile(np.arange(8, dtype=np.uint8) * 30, (6, 1))).convert("P")
    for i in range(6):
        (tmp_path / "a").mkdir(exist_ok=True), (tmp_path / "b").mkdir(exist_ok=True)
        Image.fromarray(pixels, "LA").save(tmp_path / "a" / f"{i}.png")
        palette.save(tmp_path / "b" / f"{i}.png", transparency=0)
    data = load(tmp_path)
    assert abs(data.images[0].astype(float) - (100 * 127 + 255 * 128) / 255).max() <= 1
    assert (data.images[6, :, :, 0] == 255).all()
    assert (data.images[6, :, :, 1] == 30).all()


def test_an_opaque_alpha_channel_changes_nothing_and_gives_no_note(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (12, 6, 8, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    for i in range(12):
        save(tmp_path / "ab"[i // 6] / f"{i:02}.png", pixels[i])
    data = load(tmp_path)
    assert np.array_equal(data.images, pixels[..., :3].transpose(0, 3, 1, 2))
    assert data.notes == ()


def test_a_white_drawing_on_transparent_ground_is_refused(tmp_path: Path) -> None:
    drawing = np.full((6, 8, 4), 255, np.uint8)
    drawing[2:, :, 3] = 0
    for i in range(12):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", drawing)
    assert "every pixel is 255, where 12 of its 12 images have transparent pixels and were laid on" in refusal(tmp_path)


def test_of_several_frames_the_first_is_read_and_a_note_says_so(tmp_path: Path) -> None:
    draw(tmp_path / "a", 6), draw(tmp_path / "b", 5)
    frames = [Image.fromarray(np.full((6, 8), level, np.uint8)) for level in (10, 200)]
    frames[0].save(tmp_path / "b" / "x.tif", save_all=True, append_images=frames[1:])
    data = load(tmp_path)
    assert (data.images[-1] == 10).all()
    assert data.notes == ("1 of its 12 images hold several frames, of which the first was read",)


def draw_parts(root: Path, **counts: int) -> None:
    """Draw folders ROOT/PART/a and ROOT/PART/b with so many images each."""
    for k, name in enumerate("ab"):
        for part, count in counts.items():
            draw(root / part / name, count, level=90 * k)


@pytest.mark.parametrize("val", ["val", "Valid", "validation", "dev"])
def test_a_folder_to_validate_on_validates(val: str, tmp_path: Path) -> None:
    draw_parts(tmp_path, train=20, test=10, **{val: 30})
    data = load(tmp_path)
    split = split_data(data, kind="by_seed", seed=3)
    assert (len(split.train), len(split.val), len(split.test)) == (40, 60, 20)
    assert (data.official_val, data.official_test) == (60, 20)


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAIN", "test")])
def test_other_spellings_of_train_and_test_are_understood(train: str, test: str, tmp_path: Path) -> None:
    draw_parts(tmp_path, **{train: 10, test: 4})
    data = load(tmp_path)
    assert (len(data.labels), data.official_test, data.classes) == (28, 8, 2)


def test_train_with_val_alone_tests_on_a_fifth_of_train_and_says_so(tmp_path: Path) -> None:
    draw_parts(tmp_path, train=20, val=6)
    data = load(tmp_path)
    split = split_data(data, kind="fixed", seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (32, 12, 8)
    assert data.notes == ("it has no test folder, so a fifth of train tests",)


def test_train_alone_is_the_whole_set_and_a_note_names_folders_beside_the_parts(tmp_path: Path) -> None:
    draw_parts(tmp_path / "train_alone", train=20)
    assert load(tmp_path / "train_alone").classes == 2
    draw_parts(tmp_path / "beside_parts", train=20, test=4, unlabelled=3)
    assert load(tmp_path / "beside_parts").notes == ("beside train, test, unlabelled was not read",)


def test_classes_may_be_called_train_and_test_bench(tmp_path: Path) -> None:
    for name in ("car", "plane", "train"):
        draw(tmp_path / name, 5)
    assert load(tmp_path).classes == 3


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "test"], "has test and train without a folder for each class in them"),  # the labels are in a table
        (["train/a", "train/b", "test"], "has folders for each class in train and none in test"),
        (["val/a", "val/b", "test/a", "test/b"], "has test and val and no train"),
        (["train/a", "train/b", "Train/a", "test/a", "test/b"], "has both Train and train"),
        (["train/a", "train/b", "test/a", "test/b", "test/c"], "c is not in both"),
        (["train/a", "train/b", "val/a"], "b is not in both"),
        (["train/sub/a", "train/sub/b"], "needs at least two folders of images, one for each class; "),
        (["x/a/deep", "x/b"], "needs at least two folders"),
        (["a/red", "b"], "a is taken for a class and has images in folders of its own, red"),
        (["a"], "needs at least two folders of images, one for each class"),
    ],
)
def test_folders_that_are_neither_parts_nor_classes_are_named_in_the_error(
    folders: list[str], message: str, tmp_path: Path
) -> None:
    for name in folders:
        draw(tmp_path / name, 6)
    assert message in refusal(tmp_path)


def test_validation_is_drawn_from_every_class_of_train(tmp_path: Path) -> None:
    draw_parts(tmp_path, train=20, test=4)
    data = load(tmp_path)
    split = split_data(data, kind="fixed", seed=0)
    assert np.bincount(data.labels[split.val]).tolist() == [2, 2]
