"""The trials that the file of a sweep asks for, compared with others by their params alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnbench.config import Config, Trial
from bnbench.data import dataset_info
from bnbench.sweep.planning.engine_here import with_engine_here
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.planning.norm_rules import undefined_reason
from bnbench.sweep.planning.request import SweepRequest, sweep_request

Params = frozenset[tuple[str, Any]]


@dataclass(frozen=True)
class FileTrials:
    """What a sweep's file asks to be trained.

    Attributes:
        request: The sweep that it asks for.
        trials: Its trials, without the checksums of their data, for only their params count.
    """

    request: SweepRequest
    trials: list[Trial]

    @property
    def defined(self) -> set[Params]:
        """The params of those trials that can have a result."""
        return {params_of(trial.params) for trial in self.trials if undefined_reason(trial) is None}


def trials_of_file(hydra: HydraSweep, words: Sequence[str]) -> FileTrials:
    """What the file of a sweep asks for.

    Args:
        hydra: Composed with the words.
        words: `+sweep=NAME`, with what is to differ from the file.

    Raises:
        ConfigError: If anything is wrong with the configuration of any trial.
    """
    request = sweep_request(hydra, words, lambda line: None)
    trials: dict[Params, Trial] = {}
    for config, _, _ in request.points:
        trial = _trial(config)
        trials.setdefault(params_of(trial.params), trial)
    return FileTrials(request, [*trials.values()])


def missing_from(file: FileTrials, planned: Iterable[Trial]) -> int:
    """How many of a file's trials a sweep does not plan."""
    return len(file.defined - {params_of(trial.params) for trial in planned})


def params_of(params: Mapping[str, Any]) -> Params:
    return frozenset(params.items())


def _trial(config: Config) -> Trial:
    return Trial.from_config(with_engine_here(config), train_size=dataset_info(config.data).train, data_checksum="")
