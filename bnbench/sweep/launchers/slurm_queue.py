"""Trains packs by jobs in Slurm's queue: one array of jobs a launch, each taking packs until there are none.

Slurm's own commands are all that is used, and a folder that the nodes share. With accounting or without, `squeue` names
a job for some minutes after its end.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnbench.config import ConfigError
from bnbench.record.whole_file import replace_file
from bnbench.sweep.launchers.slurm_job import HEARTBEAT, HEARTBEAT_SECONDS, give_back, number_of, taken_by
from bnbench.sweep.launchers.workers import lost_answer
from bnbench.tracking import this_process, was_killed

_LOOK_SECONDS = 0.5
_ASK_SECONDS = 10.0  # from one look at the queue to the next
_COMMAND_SECONDS = 25.0
_SETTLE_SECONDS = 10.0  # for what a job has written to be seen here, after it is gone
_OWNER, _JOB = "owner", "job"
_WAITS_OR_RUNS = {
    "PENDING",
    "RUNNING",
    "SUSPENDED",
    "COMPLETING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
}
_GONE = "in a way that the queue no longer tells"  # where there is no accounting
_DONE = {"COMPLETED", _GONE}


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
        _check_partition(settings["partition"])
        _check_options(self._options)
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
        answer = _ask(["sbatch", *where, *self._options], script)
        return answer.strip().partition(";")[0]


def _answers(folder: Path, packs: int, jobs: int) -> Iterator[tuple[int, str]]:
    """Each pack's answer; those of packs that no job is left to train say that they were lost."""
    array = (folder / _JOB).read_text(encoding="utf-8")
    waiting = set(range(packs))
    asked = time.monotonic()
    gone_since: dict[str, float] = {}
    while waiting:
        for file in folder.glob("*.answer"):
            number = number_of(file)
            answer = file.read_text(encoding="utf-8")
            file.unlink()
            if number in waiting:  # and not answered twice, as by a job that was ended between answer and next pack
                waiting.discard(number)
                yield number, answer
        if time.monotonic() - asked < _ASK_SECONDS:
            time.sleep(_LOOK_SECONDS)
            continue
        asked = time.monotonic()
        taken = {job: taken_by(folder, job) for job in (f"{array}_{task}" for task in range(jobs))}
        states = _states(array, jobs)
        put_back = [job for job, state in states.items() if state == "PENDING" and _has_started(folder, job)]
        for job in put_back:  # what an earlier start of it had taken, for it was taken before Slurm was asked
            give_back(pack for pack in taken[job] if number_of(pack) in waiting)
        ended = {job: state for job, state in states.items() if state not in _WAITS_OR_RUNS}
        gone_since = {job: gone_since.get(job, asked) for job in ended}
        settled = [job for job, since in gone_since.items() if asked - since >= _SETTLE_SECONDS]
        for job in settled:
            for number in {*map(number_of, taken_by(folder, job))} & waiting:
                waiting.discard(number)
                yield number, lost_answer(f"its job {job} ended: {ended[job]}", "")
        # Slurm holds a job for minutes that it has put back, and new jobs begin at once where others have just ended.
        if put_back and not any(ended[job] in _DONE for job in settled):
            continue
        if len(settled) + len(put_back) == jobs and not [*folder.glob("*.answer")]:
            held = f", but {', '.join(put_back)}, put back into the queue" if put_back else ""
            for number in sorted(waiting):
                yield number, lost_answer(f"all jobs of array {array} ended{held}: {_last_words(folder, ended)}", "")
            return


def _has_started(folder: Path, job: str) -> bool:
    """Whether a job that waits has run before, which is when it has a log."""
    return (folder / f"{job.partition('_')[2]}.log").exists()


def _states(array: str, jobs: int) -> dict[str, str]:
    """The state of each job of an array, in Slurm's word; none where Slurm does not answer."""
    try:
        lines = _ask(["squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "--format=%i %T"]).split(
            "\n"
        )
    except ConfigError as error:
        if "Invalid job id" not in str(error):
            return {}
        lines = []  # all of them ended some while ago
    states = dict(line.split() for line in lines if line)
    missing = [job for job in (f"{array}_{task}" for task in range(jobs)) if job not in states]
    return states | _recorded(missing)


def _recorded(jobs: Sequence[str]) -> dict[str, str]:
    """How jobs ended that the queue has forgotten: as Slurm's accounting has it, where a cluster keeps one."""
    ended = dict.fromkeys(jobs, _GONE)
    if jobs:
        with suppress(ConfigError):
            lines = _ask(
                [
                    "sacct",
                    "--noheader",
                    "--allocations",
                    "--parsable2",
                    f"--jobs={','.join(jobs)}",
                    "--format=JobID,State",
                ]
            ).split("\n")
            states = {job: state.split()[0] for job, _, state in (line.partition("|") for line in lines) if state}
            # Accounting can lag: a job that it still believes to run is gone all the same.
            ended |= {job: state for job, state in states.items() if job in ended and state not in _WAITS_OR_RUNS}
    return ended


def _last_words(folder: Path, ended: Mapping[str, str]) -> str:
    """How jobs ended, with the last line that one of them printed."""
    logs = [log.read_text(encoding="utf-8", errors="replace").split("\n") for log in folder.glob("*.log")]
    said = [line for log in logs for line in log[-2:] if line.strip()]
    return ", ".join([*dict.fromkeys(ended.values()), *said[-1:]])


def _cancel(folder: Path) -> None:
    """Take what is left of a launch out of the queue, and its folder away."""
    with suppress(FileNotFoundError, ConfigError):
        _ask(["scancel", (folder / _JOB).read_text(encoding="utf-8")])
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


def _check_partition(partition: str | None) -> None:
    known = [line.strip() for line in _ask(["sinfo", "--noheader", "--format=%R"]).split("\n") if line.strip()]
    if partition is not None and partition not in known:
        raise ConfigError(
            f"hydra.launcher.partition={partition} is unknown; allowed: {', '.join(dict.fromkeys(known))}"
        )


def _check_options(options: Sequence[str]) -> None:
    """See that sbatch understands them, before the sweep is planned.

    Its test also refuses what no node can take now, as when all are down for a while; a real job may wait for them.
    """
    try:
        _ask(["sbatch", "--test-only", *options], "#!/bin/sh\n")
    except ConfigError as error:
        if "allocation failure" not in str(error):
            raise


def _ask(command: Sequence[str], script: str = "") -> str:
    """What one of Slurm's commands prints.

    Raises:
        ConfigError: If it is not here, fails, or does not answer; one line.
    """
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=True
        )
    except FileNotFoundError as error:
        raise ConfigError(f"hydra/launcher=slurm needs Slurm's commands, and {command[0]} is not here") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"hydra/launcher=slurm: {command[0]} has not answered for {_COMMAND_SECONDS:.0f} s"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(re.sub(r"\b\w+: error: ", "", error.stderr).split())
        raise ConfigError(f"hydra/launcher=slurm: {command[0]} refused: {said}") from error
    return done.stdout
