"""Trains packs by jobs in Slurm's queue: one array of jobs a launch, each taking packs until there are none.

Slurm's own commands are all that is used, and a folder that the nodes share.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnbench.config import ConfigError
from bnbench.record.whole_file import replace_file
from bnbench.sweep.launchers.slurm_commands import (
    PENDING,
    ask,
    check_options,
    check_partition,
    has_ended,
    is_done,
    job_names,
    job_states,
)
from bnbench.sweep.launchers.slurm_job import HEARTBEAT, HEARTBEAT_SECONDS, give_back, number_of, taken_by
from bnbench.sweep.launchers.workers import lost_answer
from bnbench.tracking import this_process, was_killed

_LOOK_SECONDS = 0.5
_ASK_SECONDS = 10.0  # from one look at the queue to the next
_SETTLE_SECONDS = 10.0  # for what a job has written to be seen here, after it is gone
_OWNER, _JOB = "owner", "job"


class SlurmWorkers:
    """As `Workers`: jobs of an array, at most `workers` at once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """See that Slurm would take such jobs, and cancel what a killed sweep left in the queue.

        Args:
            settings: `partition`, `time`, `workers`, `folder` and `options` of `hydra.launcher`.

        Raises:
            ConfigError: If there is no Slurm here, no such partition, or an option that sbatch does not know; one line.
        """
        if settings["workers"] is None:
            raise ConfigError("hydra.launcher.workers is missing; say how many jobs may run at once")
        self.count = int(settings["workers"])
        self.remedy = "hydra.launcher.options={mem: 4G}, say; more time: hydra.launcher.time=…"
        self._folder = Path(settings["folder"]).expanduser().absolute()
        self._options = _options(settings)
        check_partition(settings["partition"])
        check_options(self._options)
        for folder in self._folder.glob(f"*/{_OWNER}"):
            if was_killed(folder.read_text(encoding="utf-8")):
                _cancel(folder.parent)

    def train(self, packs: Sequence[str]) -> Generator[tuple[int, str], None, None]:
        folder = self._folder / uuid.uuid4().hex[:12]
        folder.mkdir(parents=True)
        replace_file(folder / _OWNER, this_process())
        for number, pack in enumerate(packs):
            (folder / f"{number}.json").write_text(pack, encoding="utf-8")
        stopping = threading.Event()
        threading.Thread(target=_beat, args=(folder, stopping), daemon=True).start()
        try:
            jobs = min(self.count, len(packs))
            replace_file(folder / _JOB, self._submit(folder, jobs))
            yield from _answers(folder, len(packs), jobs)
        finally:
            stopping.set()
            _cancel(folder)

    def close(self) -> None:
        pass

    def _submit(self, folder: Path, jobs: int) -> str:
        """The id of the new array."""
        command = shlex.join([sys.executable, "-m", "bnbench.sweep.launchers.slurm_job", str(folder)])
        script = f"#!/bin/sh\nexec {command}\n"
        where = [f"--array=0-{jobs - 1}", f"--output={folder}/%a.log", "--job-name=bnbench", "--parsable"]
        answer = ask(["sbatch", *where, *self._options], script)
        return answer.strip().partition(";")[0]


def _answers(folder: Path, packs: int, jobs: int) -> Iterator[tuple[int, str]]:
    """Each pack's answer; those of packs that no job is left to train say that they were lost."""
    array = (folder / _JOB).read_text(encoding="utf-8")
    waiting = set(range(packs))
    asked = time.monotonic()
    gone_since: dict[str, float] = {}
    while waiting:
        time.sleep(_LOOK_SECONDS)
        answers = [*_left_answers(folder)]
        if time.monotonic() - asked >= _ASK_SECONDS:
            asked = time.monotonic()
            taken = {job: taken_by(folder, job) for job in job_names(array, jobs)}
            states = job_states(array, jobs)
            put_back = [job for job, state in states.items() if state == PENDING and _has_started(folder, job)]
            for job in put_back:  # what an earlier start of it had taken, for it was taken before Slurm was asked
                give_back(pack for pack in taken[job] if number_of(pack) in waiting)
            gone_since = {job: gone_since.get(job, asked) for job, state in states.items() if has_ended(state)}
            settled = {job: states[job] for job, since in gone_since.items() if asked - since >= _SETTLE_SECONDS}
            answers += [*_left_answers(folder), *_lost(folder, waiting, jobs, settled, put_back)]
        for number, answer in answers:
            if number in waiting:  # and not answered twice, as by a job that was ended between answer and next pack
                waiting.discard(number)
                yield number, answer


def _left_answers(folder: Path) -> Iterator[tuple[int, str]]:
    """The answers that jobs have left since the last look, which are taken away."""
    for file in folder.glob("*.answer"):
        answer = file.read_text(encoding="utf-8")
        file.unlink()
        yield number_of(file), answer


def _lost(
    folder: Path, waiting: Set[int], jobs: int, ended: Mapping[str, str], put_back: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """The packs that nobody trains any more, each with why.

    Args:
        folder: Of the launch.
        waiting: The packs without an answer.
        jobs: How many jobs there were.
        ended: Those that have ended, so long ago that all they wrote is seen here, with Slurm's word for how.
        put_back: Those that wait in the queue for a second start.
    """
    for job, state in ended.items():
        for pack in taken_by(folder, job):
            yield number_of(pack), lost_answer(f"its job {job} ended: {state}", "")
    # Slurm holds a job for minutes that it has put back, and new jobs begin at once where others have just ended.
    stuck = not put_back or any(is_done(state) for state in ended.values())
    if stuck and len(ended) + len(put_back) == jobs:
        held = f", but {', '.join(put_back)}, put back into the queue" if put_back else ""
        for number in waiting:
            yield number, lost_answer(f"all jobs ended{held}: {_last_words(folder, ended)}", "")


def _has_started(folder: Path, job: str) -> bool:
    """Whether a job that waits has run before, which is when it has a log."""
    return (folder / f"{job.partition('_')[2]}.log").exists()


def _last_words(folder: Path, ended: Mapping[str, str]) -> str:
    """How jobs ended, with the last line that one of them printed."""
    logs = [log.read_text(encoding="utf-8", errors="replace").split("\n") for log in folder.glob("*.log")]
    said = [line for log in logs for line in log[-2:] if line.strip()]
    return ", ".join([*dict.fromkeys(ended.values()), *said[-1:]])


def _cancel(folder: Path) -> None:
    """Take what is left of a launch out of the queue, and its folder away."""
    with suppress(FileNotFoundError, ConfigError):
        ask(["scancel", (folder / _JOB).read_text(encoding="utf-8")])
    shutil.rmtree(folder, ignore_errors=True)


def _beat(folder: Path, stopping: threading.Event) -> None:
    """Show the jobs that their sweep lives."""
    while not stopping.is_set():
        with suppress(OSError):
            replace_file(folder / HEARTBEAT, uuid.uuid4().hex)
        stopping.wait(HEARTBEAT_SECONDS)


def _options(settings: Mapping[str, Any]) -> list[str]:
    """What sbatch is told of the jobs."""
    options = settings["options"] or {}
    if not isinstance(options, Mapping):
        raise ConfigError(f"hydra.launcher.options={options} is not allowed; it must be like {{account: me, mem: 4G}}")
    asked = {"partition": settings["partition"], "time": settings["time"], **options}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in asked.items() if value is not None]
