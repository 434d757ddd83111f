"""What the sweeper tells a worker about its pack, and what the worker does with it."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bnbench import names
from bnbench.config import ConfigError, Trial
from bnbench.data import DATASETS
from bnbench.results import TrialResult
from bnbench.sweep.compose import set_values, to_config
from bnbench.sweep.norm_rules import remark
from bnbench.sweep.plan import DataLoader

__all__ = ["Job", "Progress", "read_progress", "train_pack"]

_PROGRESS_SECONDS = 0.3


@dataclass(frozen=True)
class Job:
    """One pack, as it travels in the override `++pack=…`.

    Attributes:
        number: The pack's, in the order of the plan.
        keys: The trials', to make sure that the worker trains what was planned.
        values: By trial, what is set on top of the composed configuration.
        runs_dir: Absolute; workers may run in another folder.
        sweep_dir: Absolute; where progress is written.
    """

    number: int
    keys: list[str]
    values: list[dict[str, Any]]
    runs_dir: str
    sweep_dir: str

    @property
    def override(self) -> str:
        """The Hydra override that carries this job."""
        # In JSON's own escapes, so that Hydra finds neither a quote nor an interpolation in it.
        text = json.dumps(asdict(self)).replace("'", r"\u0027").replace("$", r"\u0024")
        return f"++pack='{text}'"

    @property
    def progress_file(self) -> Path:
        return Path(self.sweep_dir) / "progress" / f"{self.number}.json"

    @property
    def spool(self) -> Path:
        return spool_folder(Path(self.runs_dir))


def spool_folder(runs_dir: Path) -> Path:
    """Where finished packs wait for the tracking store."""
    return runs_dir / "spool"


@dataclass(frozen=True)
class Progress:
    """How far one pack is."""

    steps: int
    diverged: int


def read_progress(job: Job) -> Progress:
    """What the worker last wrote; nothing done if it has not started."""
    try:
        return Progress(**json.loads(job.progress_file.read_text()))
    except FileNotFoundError:
        return Progress(0, 0)


def train_pack(config: DictConfig) -> None:
    """Hydra's task: train the pack that `config.pack` describes and spool its results."""
    job = Job(**json.loads(config.pack))
    started = time.time()
    trials = _trials(config, job)
    try:
        results = _fit(config, job, trials)
    except Exception as error:  # one pack that fails must not take the sweep with it
        results = [_failed(trial, error, started) for trial in trials]
    from bnbench.tracking import spool

    tags = {names.Tag.PACK: f"{Path(job.sweep_dir).name}/{job.number}"}
    for result in results:
        result.tags.update(tags)
    spool.write(job.spool, results)


def _fit(config: DictConfig, job: Job, trials: list[Trial]) -> list[TrialResult]:
    from bnbench.training.fit import fit
    from bnbench.training.process import fit_in_memory, prepare_process

    prepare_process()
    data = DataLoader(Path(job.runs_dir) / "cache").load(to_config(config))
    report = _reporter(job.progress_file)
    results = fit_in_memory(lambda part: fit(part, data, report=report), trials)
    return [
        replace(result, reason=result.reason or remark(trial)) for result, trial in zip(results, trials, strict=True)
    ]


def _trials(config: DictConfig, job: Job) -> list[Trial]:
    data = DataLoader(Path(job.runs_dir) / "cache")
    trials = []
    for key, values in zip(job.keys, job.values, strict=True):
        own = set_values(config, values)
        trial = Trial.from_config(own, train_size=DATASETS[own.data.name].train, data_checksum=data.checksum(own))
        if trial.key != key:
            raise ConfigError(
                f"the worker's trial {trial.key} is not the planned {key}: it has other data, another torch or "
                "another bnbench than the process that planned the sweep"
            )
        trials.append(trial)
    return trials


def _reporter(file: Path) -> Callable[[int, int], None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    last = 0.0

    def report(steps: int, diverged: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last = now
            temporary = file.with_suffix(".tmp")
            temporary.write_text(json.dumps({"steps": steps, "diverged": diverged}))
            os.replace(temporary, file)

    return report


def _failed(trial: Trial, error: Exception, started: float) -> TrialResult:
    return TrialResult(
        key=trial.key,
        params=trial.params,
        status="failed",
        reason="".join(traceback.format_exception(error)).strip(),
        started=started,
        ended=time.time(),
    )
