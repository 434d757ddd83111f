"""Hydra with bnbench's configuration, inside a process that may be doing something else with Hydra."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from bnbench.config import Config, ConfigError
from bnbench.config.folder import conf_dir
from bnbench.sweep.error_lines import OWN_ERRORS, bad_input
from bnbench.sweep.hydra_app import register, task
from bnbench.sweep.launchers.choose import workers_closed
from bnbench.sweep.planning.compose import to_config
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.words import check_words

_ONE_AT_A_TIME = threading.RLock()


def compose_one(overrides: Sequence[str]) -> Config:
    """The configuration that overrides without sweeps give.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    with hydra_session(overrides):
        return to_config(compose("config", overrides=[*overrides]))


@contextmanager
def hydra_sweep(overrides: Sequence[str]) -> Iterator[HydraSweep]:
    """What Hydra would hand its sweeper for these overrides, for a verb that plans or trains otherwise.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    with hydra_session(overrides) as hydra:
        config = hydra.compose_config("config", [*overrides], RunMode.MULTIRUN)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        with workers_closed():
            yield HydraSweep(config, context, task)


@contextmanager
def hydra_session(words: Sequence[str]) -> Iterator[Any]:
    """Hydra with bnbench's configuration, in place of what the process has of it, which is put back.

    Hydra has one configuration a process: threads wait for each other.

    Args:
        words: The overrides that it will be given; they are checked before.

    Raises:
        ConfigError: In place of Hydra's own exceptions, for what no configuration can be made of.
    """
    check_words(words)
    with _ONE_AT_A_TIME:
        running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
        GlobalHydra.instance().clear()
        try:
            register()
            with initialize_config_dir(str(conf_dir()), job_name="bnbench", version_base="1.3"):
                yield GlobalHydra.instance().hydra
        except Exception as error:
            lines = bad_input(error)
            of_a_file = isinstance(error, OSError) and not isinstance(error, HydraException)
            if lines is None or of_a_file or isinstance(error, OWN_ERRORS):
                raise
            raise ConfigError("\n".join(lines)) from error
        finally:
            GlobalHydra.instance().hydra = running
            HydraConfig.instance().cfg = config
