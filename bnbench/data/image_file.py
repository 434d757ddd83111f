"""Reads one image file as 8-bit gray or colour, upright and opaque, and notes what was changed for that."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnbench.config.factory import one_line
from bnbench.data.image_data import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

_GRAY = {"1", "L", "LA", "La"}
_WHITE = (255, 255, 255, 255)
_ORIENTATION = 0x0112  # an EXIF tag
_NOT_UPRIGHT = range(2, 9)  # its values for images to be turned or mirrored; 1 is upright


class Change(StrEnum):
    """What was changed in images that are not plain 8-bit gray or colour, as the end of a sentence about them."""

    turned = "were turned as their EXIF orientation says"
    transparent = "have transparent pixels and were laid on white"
    deep = "are 16-bit gray and were scaled to 8 bits, 65535 to white"
    frames = "hold several frames, of which the first was read"


def read_image(file: Path) -> tuple[Image, set[Change]]:
    """An image in PIL's mode `L` or `RGB` as a viewer shows it, and what was changed for that.

    PIL by itself clips 16-bit gray at 255, ignores the EXIF orientation, and shows the colours under transparency.

    Raises:
        DataError: If the file is no image, or holds numbers of which no value is known to be white; one line.
    """
    from PIL import Image

    try:
        with Image.open(file) as opened:
            opened.load()
            return _as_shown(opened, file)
    except DataError:
        raise
    except Exception as error:  # PIL's readers raise exceptions of every kind
        raise DataError(f"{file} cannot be read as an image: {one_line(error)}") from error


def _as_shown(opened: Image, file: Path) -> tuple[Image, set[Change]]:
    from PIL import Image, ImageOps

    changes = set()
    if (
        getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO"
    ):  # the frames of MPO are a phone's photograph and its preview
        changes.add(Change.frames)
    image = ImageOps.exif_transpose(opened)
    if opened.getexif().get(_ORIENTATION, 1) in _NOT_UPRIGHT:
        changes.add(Change.turned)
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in {"PNG", "PPM"}):
        if "transparency" in image.info:
            raise DataError(f"{file} is 16-bit gray with a transparent value; save it with 8 bits, or without")
        deep = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
        changes.add(Change.deep)
    if image.mode in {"I", "F"}:
        kind = {"I": "32-bit whole", "F": "floating-point"}[image.mode]
        raise DataError(
            f"{file} holds {kind} numbers, of which no value is known to be white; save its pixels as 8 or 16 bits"
        )
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        if np.asarray(rgba)[:, :, 3].min() < 255:
            rgba = Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba)
            changes.add(Change.transparent)
        image = rgba.convert("RGB")
    return image.convert("L" if gray else "RGB"), changes
