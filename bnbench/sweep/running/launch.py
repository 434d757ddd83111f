"""Gives packs to Hydra's launcher until all of them have results, whatever happens to its workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO

from hydra.core.utils import JobReturn

from bnbench.sweep.planning.describe import count
from bnbench.sweep.running.failure import SweepFailedError
from bnbench.sweep.running.interruption import workers_ignore_ctrl_c
from bnbench.sweep.running.job import Job
from bnbench.sweep.running.send import LostPacksError

_MOST_BROKEN_LAUNCHES = 3  # launches in a row that broke before any trial was finished


def launch_packs(
    jobs: Sequence[tuple[Job, list[str]]],
    launch: Callable[[list[list[str]]], Sequence[JobReturn]],
    finished: Callable[[], Collection[str]],
    say: Callable[[str], None],
    remedy: str = "fewer workers: hydra.launcher.n_jobs=1",
) -> None:
    """Train every job's pack.

    A worker itself tries a pack again that fails or is killed (`worker.train_job`). But a worker can be killed too, or
    its host lost; then the packs that have left no results start again.

    Args:
        jobs: Each with what Hydra composes for it.
        launch: Runs one job for each list of overrides.
        finished: Keys of the trials that have left results, failures included.
        say: Where lines for the user go.
        remedy: What to set where workers are killed again and again, beside narrower packs.

    Raises:
        SweepFailedError: If workers are killed again and again before they have finished anything.
    """
    left, broken_launches = [*jobs], 0
    while left:
        try:
            with workers_ignore_ctrl_c():
                returns = launch([[*overrides, job.override] for job, overrides in left])
        except BrokenExecutor as error:
            trials = sum(len(job.keys) for job, _ in left)
            left = _without(left, finished())
            unfinished = sum(len(job.keys) for job, _ in left)
            broken_launches = broken_launches + 1 if unfinished == trials else 0
            if broken_launches == _MOST_BROKEN_LAUNCHES:
                raise SweepFailedError(
                    f"workers were killed {_MOST_BROKEN_LAUNCHES} times before they had finished a trial; give each "
                    f"more memory ({remedy}; narrower packs: training.max_pack=…){_why(error)}"
                ) from error
            if left:
                say(f"a worker was killed; training goes on with the {count(unfinished, 'trial')} left{_why(error)}")
            continue
        for job_return in returns:
            with redirect_stderr(StringIO()):  # Hydra would print the whole pack
                _ = job_return.return_value  # raises what the job raised
        return


def _why(error: BrokenExecutor) -> str:
    """What is known of the workers' ends."""
    return f" ({error})" if isinstance(error, LostPacksError) else ""


def _without(jobs: Sequence[tuple[Job, list[str]]], finished: Collection[str]) -> list[tuple[Job, list[str]]]:
    """The jobs less the trials that are finished."""
    left = []
    for job, overrides in jobs:
        trials = [(key, values) for key, values in zip(job.keys, job.values, strict=True) if key not in finished]
        if trials:
            rest = replace(job, keys=[key for key, _ in trials], values=[values for _, values in trials])
            left.append((rest, overrides))
    return left
