"""Turns pixels into numbers, with one scale and one shift for each channel."""

from __future__ import annotations

import numpy as np

from bnbench.data.image_data import DataError, ImageData
from bnbench.data.splits import Split

_SCALE_AND_SHIFT = {"raw": (1.0, 0.0), "unit": (1 / 255, 0.0), "symmetric": (2 / 255, -1.0), "binary": (1 / 255, 0.0)}


def scaling(data: ImageData, split: Split, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift, so that `x_float = x_uint8 * scale + shift`.

    `raw` keeps 0..255, `unit` gives [0, 1], `symmetric` gives [-1, 1], and `standard` gives each channel
    zero mean and unit variance (divisor N) over the training split alone. `binary` is `unit` for pixels that `pixels`
    has rounded to 0 or 255.

    Args:
        data: The images.
        split: `standard` takes mean and variance of its `train` rows.
        kind: `unit`, `symmetric`, `standard`, `raw` or `binary`.

    Returns:
        scale and shift, float32, each of shape (C,).

    Raises:
        DataError: If `kind` is unknown, or a channel is constant under `standard`.
    """
    C, _, _ = data.shape
    if kind in _SCALE_AND_SHIFT:
        scale, shift = np.transpose([_SCALE_AND_SHIFT[kind]] * C)
    elif kind == "standard":
        mean, std = np.transpose([_mean_std(data.images[split.train, c]) for c in range(C)])
        if not std.all():
            raise DataError(
                f"data.scaling=standard: channel {std.argmin()} of data={data.name} is constant over the "
                f"training split; use data.scaling=unit"
            )
        scale, shift = 1 / std, -mean / std
    else:
        raise DataError(f"data.scaling={kind} is unknown; use unit, symmetric, standard, raw or binary")
    return scale.astype(np.float32), shift.astype(np.float32)


def pixels(data: ImageData, kind: str) -> np.ndarray:
    """The images in uint8, (M, C, H, W); under `binary` each pixel is rounded to 0 or 255."""
    return np.where(data.images >= 128, np.uint8(255), np.uint8(0)) if kind == "binary" else data.images


def _mean_std(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and divisor-N standard deviation of uint8 pixels, from exact integer sums."""
    n = pixels.size
    total = int(pixels.sum(dtype=np.int64))
    squares = int(np.multiply(pixels, pixels, dtype=np.uint16).sum(dtype=np.int64))  # 255 * 255 fits in uint16
    return total / n, ((n * squares - total * total) / (n * n)) ** 0.5
