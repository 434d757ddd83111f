"""Where `training.engine=auto` may be the kernels only if there are any."""

from __future__ import annotations

from dataclasses import replace

from bnbench.config import Config
from bnbench.config.choices import Engine
from bnbench.lanes.library import why_no_kernels


def with_engine_here(config: Config) -> Config:
    """The configuration with torch for `training.engine=auto` where this installation has no kernels.

    Whatever becomes a trial must come through here, or its key and params would be another trial's.
    """
    if config.training.engine != Engine.auto or why_no_kernels() is None:
        return config
    return replace(config, training=replace(config.training, engine=Engine.torch))
