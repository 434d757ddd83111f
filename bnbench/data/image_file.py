"""One image file as bytes of gray or colour, upright and opaque, with a word of whatever that took."""

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
_ORIENTATION = 0x0112  # the tag of EXIF: 1 is upright
_TURNED = range(2, 9)


class Told(StrEnum):
    """What a reader must know of images that are more than bytes of gray or colour."""

    turned = "were turned as their EXIF orientation says"
    transparent = "have transparent pixels and were laid on white"
    deep = "are 16-bit gray and were scaled to bytes by their type, 65535 to white"
    frames = "hold several frames, of which the first was read"


def read_image(file: Path) -> tuple[Image, set[Told]]:
    """An image in PIL's mode `L` or `RGB`, as a viewer shows it.

    PIL clips 16-bit gray at 255, ignores the EXIF orientation, and shows what lies under transparency.

    Raises:
        DataError: If it is no image, or of numbers that have no stated white; one line.
    """
    from PIL import Image

    try:
        with Image.open(file) as opened:
            opened.load()
            return _shown(opened, file)
    except DataError:
        raise
    except Exception as error:  # PIL's readers raise of every kind
        raise DataError(f"{file} cannot be read as an image: {one_line(error)}") from error


def _shown(opened: Image, file: Path) -> tuple[Image, set[Told]]:
    from PIL import Image, ImageOps

    told = set()
    if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":  # a phone's photograph and its preview
        told.add(Told.frames)
    image = ImageOps.exif_transpose(opened)
    if opened.getexif().get(_ORIENTATION, 1) in _TURNED:
        told.add(Told.turned)
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in {"PNG", "PPM"}):
        if "transparency" in image.info:
            raise DataError(f"{file} is 16-bit gray with a transparent value; save it with 8 bits, or without")
        deep = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
        told.add(Told.deep)
    if image.mode in {"I", "F"}:
        kind = {"I": "32-bit whole", "F": "floating-point"}[image.mode]
        raise DataError(f"{file} holds {kind} numbers, which have no stated white; save its pixels as 8 or 16 bits")
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        whole = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        if np.asarray(whole)[:, :, 3].min() < 255:
            whole = Image.alpha_composite(Image.new("RGBA", whole.size, _WHITE), whole)
            told.add(Told.transparent)
        image = whole.convert("RGB")
    return image.convert("L" if gray else "RGB"), told
