"""Sends packs to the workers of an engine, wherever they are, and writes their results into the sweep's spool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from bnbench.config import ConfigError
from bnbench.record.results import TrialResult
from bnbench.sweep.planning.hydra_sweep import HydraSweep
from bnbench.sweep.running.job import Job, share
from bnbench.tensors.kernels import asked_of_kernels
from bnbench.tracking import Spool

_NAMED = 3  # lost packs whose ends are told


class LostPacksError(BrokenExecutor):
    """Workers died at their packs, or were lost with their hosts; all other packs have left their results."""


def send_packs(hydra: HydraSweep, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """Have packs trained, as Hydra's launchers run jobs.

    Args:
        hydra: Composes what packs have in common, and says which workers train them.
        job_overrides: For each pack, what Hydra composes, and last the override that carries its job.

    Raises:
        LostPacksError: If workers died; after the other packs.
    """
    jobs = [Job.of_override(overrides[-1]) for overrides in job_overrides]
    packs = _packs(hydra, job_overrides, jobs)
    workers = hydra.other_workers
    assert workers is not None, "this launcher is for workers elsewhere"
    returns = [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]
    for job_return in returns:
        job_return.return_value = None
    lost = []
    with closing(workers.train(packs)) as answers:
        for number, text in answers:
            answer = json.loads(text)
            if "results" in answer:
                results = [TrialResult.from_json(line) for line in answer["results"]]
                Spool(Path(jobs[number].spool)).write(results)
            elif "lost" in answer:
                lost.append(": ".join(filter(None, (answer["host"], answer["lost"]))))
            else:
                returns[number].status = JobStatus.FAILED
                returns[number].return_value = _error(answer)
    if lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise LostPacksError("; ".join(lost[:_NAMED]) + more)
    return returns


def _packs(hydra: HydraSweep, job_overrides: Sequence[Sequence[str]], jobs: Sequence[Job]) -> list[str]:
    """Each pack as a line of JSON; packs of the same files share one compose."""
    composed: dict[tuple[str, ...], object] = {}
    tokens: dict[str, str] = {}
    common = {"folder": str(Path.cwd()), "kernels": asked_of_kernels()}
    packs = []
    for overrides, job in zip(job_overrides, jobs, strict=True):
        files = tuple(overrides[:-1])
        if files not in composed:
            composed[files] = OmegaConf.to_container(hydra.compose([*files]), enum_to_str=True)
        if job.sweep_dir not in tokens:
            tokens[job.sweep_dir] = share(Path(job.sweep_dir))
        pack = {**common, "config": composed[files], "job": vars(job), "token": tokens[job.sweep_dir]}
        packs.append(json.dumps(pack))
    return packs


def _error(answer: dict[str, str]) -> Exception:
    """What a worker raised, as it would have been raised here."""
    if "refused" in answer:
        return ConfigError(f"host {answer['host']}: {answer['refused']}")
    return RuntimeError(f"on host {answer['host']}:\n{answer['error']}")
