"""What is asked of Slurm, by its own commands: whether it would take jobs, and what became of them.

For a while after its end `squeue` still names a job; later `sacct` does, where accounting is kept.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from bnbench.config import ConfigError

PENDING = "PENDING"
"""The state of a job that waits in the queue."""

_COMMAND_SECONDS = 25.0
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


def job_names(array: str, jobs: int) -> list[str]:
    """What Slurm calls the jobs of an array."""
    return [f"{array}_{task}" for task in range(jobs)]


def has_ended(state: str) -> bool:
    """Whether a job in this state neither waits nor runs."""
    return state not in _WAITS_OR_RUNS


def is_done(state: str) -> bool:
    """Whether a job in this state has probably ended by itself."""
    return state in _DONE


def job_states(array: str, jobs: int) -> dict[str, str]:
    """The state of each job of an array, in Slurm's word; none where Slurm does not answer."""
    try:
        said = ask(["squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "--format=%i %T"])
    except ConfigError as error:
        if "Invalid job id" not in str(error):
            return {}
        said = ""  # all of them ended some while ago
    states = dict(line.split() for line in said.splitlines())
    missing = [job for job in job_names(array, jobs) if job not in states]
    return states | _recorded(missing)


def _recorded(jobs: Sequence[str]) -> dict[str, str]:
    """How jobs ended that the queue has forgotten: as Slurm's accounting has it, where a cluster keeps one."""
    ended = dict.fromkeys(jobs, _GONE)
    if not jobs:
        return ended
    shown = ["--noheader", "--allocations", "--parsable2", "--format=JobID,State"]
    with suppress(ConfigError):
        for line in ask(["sacct", *shown, f"--jobs={','.join(jobs)}"]).splitlines():
            job, _, state = line.partition("|")
            word = state.split()[0]  # CANCELLED is followed by who did it
            if job in ended and has_ended(word):  # accounting can lag, and believe that it still runs
                ended[job] = word
    return ended


def check_partition(partition: str | None) -> None:
    """See that there is a partition of this name; None is the cluster's default.

    Raises:
        ConfigError: If there is none; one line.
    """
    known = [line.strip() for line in ask(["sinfo", "--noheader", "--format=%R"]).splitlines()]
    if partition is not None and partition not in known:
        raise ConfigError(
            f"hydra.launcher.partition={partition} is unknown; allowed: {', '.join(dict.fromkeys(known))}"
        )


def check_options(options: Sequence[str]) -> None:
    """See that sbatch understands them, before the sweep is planned.

    Its test also refuses what no node can take now, as when all are down for a while; a real job may wait for them.

    Raises:
        ConfigError: If it does not; one line.
    """
    try:
        ask(["sbatch", "--test-only", *options], "#!/bin/sh\n")
    except ConfigError as error:
        if "allocation failure" not in str(error):
            raise


def ask(command: Sequence[str], script: str = "") -> str:
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
