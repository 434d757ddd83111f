"""The Hydra launcher for workers elsewhere: hands what Hydra knows to `bnbench.sweep`. As light as the sweeper."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class BnbenchLauncher(Launcher):
    """Sends packs to workers on this or other hosts; `hydra.launcher.where` says which."""

    def __init__(self, **settings: Any) -> None:
        """Hydra gives its settings; `HydraSweep.other_workers` reads them from the configuration, as verbs do too."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from bnbench.sweep.planning.hydra_sweep import HydraSweep
        from bnbench.sweep.running.send import send_packs

        context, task_function, config = self.hydra
        return send_packs(HydraSweep(config, context, task_function), job_overrides)
