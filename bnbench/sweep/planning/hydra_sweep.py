"""The sweep as Hydra hands it to its sweeper, with what bnbench needs of Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override

from bnbench.config import Config, ConfigError
from bnbench.sweep.launchers.choose import open_workers
from bnbench.sweep.launchers.workers import Workers
from bnbench.sweep.planning.compose import to_config
from bnbench.sweep.planning.words import wrong_number_of_workers


@dataclass(frozen=True)
class HydraSweep:
    """The composed configuration, and the way to compose and to launch more of them."""

    config: DictConfig
    context: HydraContext
    task_function: TaskFunction

    @property
    def settings(self) -> Config:
        """The configuration without what varies."""
        return to_config(_without_hydra(self.config))

    @property
    def varying(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """`hydra.sweeper.params` and `.arms`."""
        sweeper = OmegaConf.to_container(self.config.hydra.sweeper, resolve=True)
        assert isinstance(sweeper, dict)
        return sweeper["params"] or {}, sweeper["arms"] or {}

    def typed_instead(self, words: Sequence[str]) -> HydraSweep:
        """The sweep that Hydra would hand over for these words, typed beside the settings of Hydra itself."""
        config = self.context.config_loader.load_configuration(
            config_name=self.config.hydra.job.config_name,
            overrides=[*self.config.hydra.overrides.hydra, *words],
            run_mode=RunMode.MULTIRUN,
        )
        return replace(self, config=config)

    def compose(self, overrides: list[str]) -> DictConfig:
        """One job's configuration, without Hydra's own node."""
        typed = self.config.hydra.overrides.hydra  # hydra.searchpath, say
        config: DictConfig = self.context.config_loader.load_configuration(
            config_name=self.config.hydra.job.config_name, overrides=[*typed, *overrides], run_mode=RunMode.RUN
        )
        return _without_hydra(config)

    @property
    def conf_dirs(self) -> list[Path]:
        """The folders that Hydra takes configuration files from, the first one that has a file before the others."""
        sources = self.config.hydra.runtime.config_sources
        return [Path(source.path) for source in sources if source.schema == "file"]

    def is_group(self, key: str) -> bool:
        """Whether a key chooses a file of a config group."""
        return "." not in key and bool(self.context.config_loader.get_group_options(key))

    def launch(self, overrides: list[list[str]], folder: Path) -> Sequence[JobReturn]:
        """Run one job for each list of overrides, on the configured launcher."""
        config = self.config.copy()
        with flag_override(config, ["readonly", "struct"], False):
            config.hydra.sweep.dir = str(folder)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task_function, config=config
        )
        return launcher.launch(overrides, initial_job_idx=0)

    @property
    def other_workers(self) -> Workers | None:
        """The workers that packs are sent to; None where Hydra's launcher runs them as jobs of its own.

        Raises:
            ConfigError: If there are none.
        """
        launcher = OmegaConf.to_container(self.config.hydra.launcher, resolve=True)
        assert isinstance(launcher, dict)
        return open_workers({str(key): value for key, value in launcher.items()}) if "where" in launcher else None

    @property
    def launcher(self) -> str:
        """What runs the packs, in a word: an engine of ours, or the launcher of Hydra's."""
        launcher = self.config.hydra.launcher
        return str(launcher.get("where") or launcher._target_.rpartition(".")[2].removesuffix("Launcher").lower())

    @property
    def remedy(self) -> str:
        """What to set where workers are killed again and again."""
        return self.other_workers.remedy if self.other_workers else "fewer workers: hydra.launcher.n_jobs=1"

    @property
    def workers(self) -> int:
        """How many packs are trained at once: on joblib `n_jobs`, and 1 on a launcher that does not say it."""
        if self.other_workers:
            return self.other_workers.count
        from joblib import effective_n_jobs

        n_jobs = self.config.hydra.launcher.get("n_jobs", 1)
        if not isinstance(n_jobs, int) or n_jobs == 0:
            raise ConfigError(wrong_number_of_workers(n_jobs))
        return int(effective_n_jobs(n_jobs))


def _without_hydra(config: DictConfig) -> DictConfig:
    config = config.copy()
    with flag_override(config, ["readonly", "struct"], False):
        config.pop("hydra", None)
    return config
