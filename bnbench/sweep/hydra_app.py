"""bnbench as a Hydra application: its schema, its sweeper and its errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from bnbench.config import schema


def register() -> None:
    """Tell Hydra the schema, with MLflow's own variables as defaults, and where our sweeper and launcher are.

    Hydra takes plugins from `hydra_plugins` namespace packages only; ours lies inside bnbench, which works from a
    wheel and from an editable install alike. It looks for them once a process: in a program that is a Hydra
    application itself, before it has heard of bnbench.
    """
    node = schema()
    for key, variable in {"uri": "MLFLOW_TRACKING_URI", "experiment": "MLFLOW_EXPERIMENT_NAME"}.items():
        if value := os.environ.get(variable):
            node.tracking[key] = value
    ConfigStore.instance().store(name="schema", node=node, provider="bnbench")
    plugins = str(Path(__file__).resolve().parent.parent / "plugins")
    if plugins not in sys.path:
        sys.path.append(plugins)
    registry = Plugins.instance()
    if not any(sweeper.__name__ == "BnbenchSweeper" for sweeper in registry.discover(Sweeper)):
        from hydra_plugins.bnbench_launcher import BnbenchLauncher
        from hydra_plugins.bnbench_sweeper import BnbenchSweeper

        registry.register(BnbenchSweeper)
        registry.register(BnbenchLauncher)


def task(config: DictConfig) -> None:
    """What Hydra runs for each job: one pack."""
    if config.pack is None:  # printed here, for Hydra puts a line of its own before a job's exception
        print("hydra.mode=RUN is not allowed; leave it MULTIRUN: bnbench trains through its sweeper", file=sys.stderr)
        sys.exit(2)
    from bnbench.sweep.running.worker import train_pack

    train_pack(config)
