"""Trials from a few overrides, images from a random generator, and one thread, as in a worker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from omegaconf import OmegaConf

from bnbench.config import Trial, schema
from bnbench.data import ImageData
from bnbench.tensors.vision_ops import ensure_torchvision

ensure_torchvision()  # before a test imports Lightning


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The bits of a pack are only promised on one thread."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trial_of() -> Callable[..., Trial]:
    """Makes the trial that overrides such as `"norm.name=batch"` ask for."""

    def make(*overrides: str, train_size: int = 84) -> Trial:
        config = OmegaConf.to_object(OmegaConf.merge(schema(), OmegaConf.from_dotlist(list(overrides))))
        return Trial.from_config(config, train_size=train_size, data_checksum="")

    return make


@pytest.fixture(scope="session")
def images_of() -> Callable[..., ImageData]:
    """Makes random images with random labels; of 120, 84 train, 12 validate and 24 test."""

    def make(*shape: int, count: int = 120) -> ImageData:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        return ImageData.from_arrays("made_up", images, rng.integers(0, 10, count), classes=10, source="a test")

    return make
