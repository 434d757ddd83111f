"""Trains a pack in a worker, tries again what fails, and leaves the results in the spool."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from omegaconf import DictConfig

from bnbench.config import ConfigError, Device, Trial
from bnbench.config.environment import cpu_name
from bnbench.data import ImageData
from bnbench.record import checkpoints, names
from bnbench.record.redaction import redacted
from bnbench.record.results import TrialResult
from bnbench.sweep.planning.compose import Composed
from bnbench.sweep.planning.norm_rules import remark
from bnbench.sweep.planning.plan import DataLoader
from bnbench.sweep.running.attempts import train_with_retries
from bnbench.sweep.running.isolation import CAN_ISOLATE, end_with, failure_of, isolated
from bnbench.sweep.running.job import Job, progress_writer
from bnbench.tracking import Spool, this_process, was_killed


def train_pack(config: DictConfig) -> None:
    """Hydra's task: train the pack that `config.pack` describes; raises as `train_job`."""
    job = Job(**json.loads(config.pack))
    if job.process != this_process():
        _end_with_parent()
    train_job(config, job)


def train_job(config: DictConfig, job: Job) -> None:
    """Train a pack and spool its results.

    Each attempt has a process of its own, so that one that is killed costs no other pack. There are two exceptions: a
    sweep that trains in its own process, and a GPU, whose state does not survive a fork.

    Args:
        config: What all its trials have, as Hydra composed it.
        job: The pack.

    Raises:
        ConfigError: If this is not the training that was planned.
        TrackingError: If results cannot be written.
    """
    Spool(Path(job.spool)).check_writable()
    data = DataLoader(Path(job.cache))
    composed = Composed(config)
    trials, images = _trials(composed, job, data), data.load(composed.with_values(job.values[0]))
    isolates = CAN_ISOLATE and job.process != this_process() and trials[0].training.device == Device.cpu
    if isolates:
        _import_training()
    if job.anew:
        checkpoints.remove(Path(job.checkpoints), job.keys)
    started = time.time()
    outcomes: list[str | None] = []  # of the attempts: why each failed, or None

    def attempt(part: Sequence[Trial]) -> str | None:
        def action() -> None:
            _spool(job, _fit(job, images, part), outcomes)

        failure = isolated(action, lambda: not was_killed(job.process)) if isolates else failure_of(action)
        outcomes.append(failure)
        return failure

    def give_up(trial: Trial, failure: str) -> None:
        _spool(job, [_failed(trial, failure, started)], outcomes[:-1])

    train_with_retries(trials, attempt, give_up)


@cache
def _end_with_parent() -> None:
    """Have this worker end when the process has ended that started it, as a notebook's kernel does without a word.

    A worker of joblib's would wait minutes for further packs, with its memory and what it has open.
    """
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


@cache
def _import_training() -> None:
    """Import what training takes once, and not in every fork.

    Meanwhile Python does not look for garbage, of which there is next to none among modules: that took a quarter of the
    time. Nor does it look through them later, in each fork.
    """
    gc.disable()
    try:
        import bnbench.training.fit  # noqa: F401
    finally:
        gc.enable()
    gc.freeze()


def _fit(job: Job, images: ImageData, trials: Sequence[Trial]) -> list[TrialResult]:
    from bnbench.training.fit import fit
    from bnbench.training.process import fit_in_memory, prepare_process

    prepare_process()
    report = progress_writer(job.progress_file, [trial.key for trial in trials])
    results = fit_in_memory(
        lambda part: fit(part, images, report=report, checkpoints=Path(job.checkpoints), alone=job.alone), trials
    )
    return [
        replace(result, reason=result.reason or remark(trial)) for result, trial in zip(results, trials, strict=True)
    ]


def _spool(job: Job, results: list[TrialResult], earlier_attempts: Sequence[str | None]) -> None:
    tags = {
        names.Tag.PACK: f"{Path(job.sweep_dir).name}/{job.number}",
        names.Tag.PARENT: job.run_id,
        names.Tag.HOST: socket.gethostname(),
        names.Tag.CPU: cpu_name(),
        names.Tag.LAUNCHER: job.launcher,
    }
    if earlier_attempts:
        tags[names.Tag.ATTEMPT] = str(len(earlier_attempts) + 1)
        tags[names.Tag.FAILED_BEFORE] = redacted(str(earlier_attempts[0]).splitlines()[-1])
    if job.anew:
        tags[names.Tag.ANEW] = "true"
    for result in results:
        result.tags.update(tags)
    Spool(Path(job.spool)).write(results)
    checkpoints.remove(Path(job.checkpoints), [result.key for result in results])


def _trials(composed: Composed, job: Job, data: DataLoader) -> list[Trial]:
    trials = []
    for key, values in zip(job.keys, job.values, strict=True):
        trial = data.trial(composed.with_values(values))
        if trial.key != key:
            raise ConfigError(
                f"the worker's trial {trial.key} is not the planned {key}: it has other data, another torch or "
                "another bnbench than the process that planned the sweep"
            )
        trials.append(trial)
    return trials


def _failed(trial: Trial, failure: str, started: float) -> TrialResult:
    return TrialResult(
        key=trial.key,
        params=trial.params,
        status="failed",
        reason=redacted(failure),
        started=started,
        ended=time.time(),
    )
