"""A data set of one's own: `data=custom data.factory=bnbench.examples.images:stripes`."""

from __future__ import annotations

import numpy as np


def stripes() -> dict[str, np.ndarray]:
    """1,200 noisy images, 16 x 16, of stripes in one of four directions.

    A data set is a dict of arrays: `images`, uint8 of shape (M, C, H, W), (M, H, W, C) or (M, H, W), and `labels`,
    (M,), whole numbers. A tenth of the images validates and a fifth tests, drawn class by class; with `val_images` and
    `val_labels`, or `test_images` and `test_labels`, those do.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(1200) % 4
    angle = labels * np.pi / 4
    y, x = np.mgrid[:16, :16]
    place = x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None]
    waves = np.sin(place * 1.2 + rng.uniform(0, 2 * np.pi, (1200, 1, 1)))
    noisy = 128 + 50 * waves + rng.normal(0, 60, (1200, 16, 16))
    return {"images": noisy.clip(0, 255).astype(np.uint8), "labels": labels}
