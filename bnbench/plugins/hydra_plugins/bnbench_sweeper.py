"""The Hydra sweeper: hands what Hydra knows to `bnbench.sweep`. Hydra imports this at every start: keep it light.

No `from __future__ import annotations`: Hydra executes this file before `sys.modules` knows it, and a dataclass
would look its text annotations up there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class BnbenchSweeperConf:
    """What a sweep file may say of what varies; `bnbench.sweep.planning.grid.expand` says how it is read."""

    _target_: str = "hydra_plugins.bnbench_sweeper.BnbenchSweeper"
    params: dict[str, Any] | None = None
    arms: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="bnbench", node=BnbenchSweeperConf, provider="bnbench")


class BnbenchSweeper(Sweeper):
    """Expands the grid, plans packs, and gives the configured launcher one job a pack."""

    def __init__(self, params: DictConfig | None, arms: DictConfig | None) -> None:
        """Hydra gives what varies; `HydraSweep.varying` reads it from the configuration, as verbs do too."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        from bnbench.sweep.launchers.choose import workers_closed
        from bnbench.sweep.planning.hydra_sweep import HydraSweep
        from bnbench.sweep.running.several_sweeps import run_parts

        context, task_function, config = self.hydra
        with workers_closed():
            return run_parts(HydraSweep(config, context, task_function), arguments)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: the plan has checked every trial."""
