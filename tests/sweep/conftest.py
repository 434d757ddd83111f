"""Hydra in this process, trials and plans without data, and sweeps with planted results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from omegaconf import DictConfig

from bnbench.config import Config, Trial, schema
from bnbench.config.folder import conf_dir
from bnbench.data import ImageData
from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.sweep.hydra_app import register, task
from bnbench.sweep.planning.compose import compose, set_values
from bnbench.sweep.planning.grid import expand
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.plan import DataLoader, Plan, make_plan
from bnbench.sweep.running import worker
from bnbench.sweep.running.job import Job

Composed = tuple[Config, list[str], dict[str, Any]]


@dataclass
class CountingSweep:
    """What Hydra hands the sweeper, with a record of every compose."""

    hydra: HydraSweep
    composed: list[list[str]]

    def compose(self, overrides: list[str]) -> DictConfig:
        self.composed.append(overrides)
        return self.hydra.compose(overrides)

    def points(self, params: dict[str, Any], typed: Sequence[str] = (), arms: Any = None) -> list[Composed]:
        """Each point of the grid as a worker's process would see it."""
        grid = expand(params, arms or {}, [*typed], is_group=self.hydra.is_group)
        return [*compose(grid, self.compose, is_group=self.hydra.is_group)]


@pytest.fixture
def sweep() -> Iterator[CountingSweep]:
    register()
    with initialize_config_dir(str(conf_dir()), job_name="test", version_base="1.3"):
        inner = GlobalHydra.instance().hydra
        assert inner is not None
        context = HydraContext(config_loader=inner.config_loader, callbacks=None)  # type: ignore[arg-type]
        config = hydra_compose("config", return_hydra_config=True)
        yield CountingSweep(HydraSweep(config, context, task), [])


class NoData(DataLoader):
    """Looks at no image: it has a checksum for each data set and split."""

    def __init__(self) -> None:
        super().__init__(Path())

    def checksum(self, config: Config) -> str:
        return f"{config.data.name}:{config.data.split}:{config.seed if config.data.split == 'by_seed' else ''}"


@pytest.fixture(scope="session")
def make_config() -> Callable[[dict[str, Any]], Config]:
    """The defaults with some values set, each by its dotted key."""
    return lambda values: set_values(schema(), values)


@pytest.fixture(scope="session")
def make_trial(make_config: Callable[[dict[str, Any]], Config]) -> Callable[[dict[str, Any]], Trial]:
    def make(values: dict[str, Any]) -> Trial:
        return NoData().trial(make_config(values))

    return make


@pytest.fixture(scope="session")
def plan() -> Callable[..., Plan]:
    """A plan of composed points; `finished` holds the keys that the store has results of, `begun` those of packs."""

    def make(points: Sequence[Composed], finished: Sequence[str] = (), begun: Sequence[Sequence[str]] = ()) -> Plan:
        return make_plan(points, NoData(), lambda: finished, begun)

    return make


class Planted:
    """Results that sweeps in this process get in place of trained ones.

    Attributes:
        trained: The trials that were given a result.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[Trial] = []
        self._monkeypatch = monkeypatch

    def accuracies(self, accuracy: Callable[[Trial], float]) -> None:
        """Let trials end with these test accuracies, which the validation's are equal to."""

        def fit(job: Job, images: ImageData, trials: Sequence[Trial]) -> list[TrialResult]:
            self.trained.extend(trials)
            return [_planted(trial, accuracy(trial)) for trial in trials]

        self._monkeypatch.setattr(worker, "_fit", fit)


def _planted(trial: Trial, accuracy: float) -> TrialResult:
    metrics = {names.TEST_ACC: accuracy, names.VAL_ACC_FINAL: accuracy}
    return TrialResult(trial.key, trial.params, "finished", metrics=metrics)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(monkeypatch)
