"""A fixture that builds one trial's network from a few overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from omegaconf import OmegaConf

from bnbench.config import Trial, schema
from bnbench.models import build_model

if TYPE_CHECKING:
    from torch import nn


@pytest.fixture(scope="session")
def net_of() -> Callable[..., nn.Module]:
    """Builds the network of a configuration with these overrides, such as `"norm.name=batch"`."""

    def build(*overrides: str, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> nn.Module:
        config = OmegaConf.to_object(OmegaConf.merge(schema(), OmegaConf.from_dotlist(list(overrides))))
        return build_model(Trial.from_config(config, train_size=1000, data_checksum=""), image_shape, classes)

    return build
