"""bnbench from Python: run a sweep, load one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench.config import Config, ConfigError
from bnbench.config.folder import conf_dir
from bnbench.sweep.hydra_app import register, task

if TYPE_CHECKING:
    from bnbench.sweep.running.published import Sweep
    from bnbench.sweep.running.run import HydraSweep

_ONE_AT_A_TIME = threading.RLock()


def run(*overrides: str) -> Sweep:
    """Run a sweep or a trial, as the command line would.

    Args:
        overrides: What the command line takes: `"+sweep=placement"`, `"model=fc"`, `"seed=range(3)"`. A word
            without `=` names a sweep: `"placement"` is `"+sweep=placement"`. Sweeps of several threads run one
            after another; a program that is itself a Hydra application keeps its own configuration.

    Returns:
        Its trials, curves and report; of a sweep with `sweep.parts`, such as `claims`, those of its last part.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial; before anything is written.
        SweepFailedError: If trials failed; the rest is recorded and can be loaded.

    Example:
        >>> sweep = run("placement", "model=fc")  # doctest: +SKIP
        >>> sweep.trials.groupby("norm.placement")["test/acc"].mean()  # doctest: +SKIP
    """
    words = [word if "=" in word else f"+sweep={word}" for word in overrides]
    with _hydra(words) as hydra:
        sweep: Sweep = hydra.multirun(
            config_name="config", task_function=task, overrides=words, with_log_configuration=False
        )
        return sweep


def load(sweep: str = "latest", *overrides: str) -> Sweep:
    """A recorded sweep, read back from the tracking store.

    Args:
        sweep: A name for the newest sweep of it, `<name>-<id>`, an MLflow run id, or "latest".
        overrides: Where it is: `"runs_dir=…"`, `"tracking.uri=…"`.

    Raises:
        TrackingError: If there is no such sweep.
    """
    return load_with(sweep, compose_one(overrides))


def load_with(sweep: str, config: Config) -> Sweep:
    """`load`, with the settings at hand."""
    from bnbench.analysis.default_targets import with_default_targets
    from bnbench.sweep.running.finish import sweep_folder
    from bnbench.sweep.running.published import Sweep
    from bnbench.tracking.store import Store

    runs_dir = Path(config.runs_dir).expanduser().absolute()
    store = Store.open(config.tracking.uri, runs_dir=runs_dir, experiment=config.tracking.experiment, create=False)
    table = with_default_targets(store.load(sweep))
    return Sweep(table, sweep_folder(runs_dir, table.meta["name"], table.meta["id"]))


def compose_one(overrides: Sequence[str]) -> Config:
    """The configuration that overrides without sweeps give.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    from hydra import compose

    from bnbench.sweep.planning.compose import to_config

    with _hydra(overrides):
        return to_config(compose("config", overrides=[*overrides]))


@contextmanager
def hydra_sweep(overrides: Sequence[str]) -> Iterator[HydraSweep]:
    """What Hydra would hand its sweeper for these overrides, for a verb that plans or trains otherwise.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.types import HydraContext, RunMode

    from bnbench.sweep.running.run import HydraSweep

    with _hydra(overrides) as hydra:
        config = hydra.compose_config("config", [*overrides], RunMode.MULTIRUN)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        yield HydraSweep(config, context, task)


@contextmanager
def _hydra(words: Sequence[str]) -> Iterator[Any]:
    """Hydra with bnbench's configuration, in place of what the process has of it, which is put back.

    The words are those it will be given.

    Hydra has one configuration a process: threads wait for each other.

    Raises:
        ConfigError: In place of Hydra's own exceptions, for what no configuration can be made of.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException

    from bnbench.sweep.error_lines import OWN_ERRORS, bad_input
    from bnbench.sweep.planning.words import check_words

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
