"""The tags that a sweep's run and the runs of the trials it trained have in common."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_BRANCH,
    MLFLOW_GIT_COMMIT,
    MLFLOW_GIT_DIRTY,
    MLFLOW_GIT_REPO_URL,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from bnbench.record.names import Tag
from bnbench.record.planned_trial import PlannedTrial
from bnbench.record.sweep_record import SweepRecord

TAG_LENGTH = 8000
"""The longest value of a run's tag that MLflow keeps."""

_GIT = {
    "commit": MLFLOW_GIT_COMMIT,
    "dirty": MLFLOW_GIT_DIRTY,
    "branch": MLFLOW_GIT_BRANCH,
    "remote": MLFLOW_GIT_REPO_URL,
}


@dataclass(frozen=True)
class Parent:
    """A sweep's run, as the runs of its trials need it.

    Attributes:
        tags: What they inherit.
        arms: The arm of each planned trial in words, by the trial's key.
    """

    run_id: str
    tags: Mapping[str, str]
    arms: Mapping[str, str]

    @classmethod
    def of(cls, run_id: str, record: SweepRecord, trials: Sequence[PlannedTrial]) -> Parent:
        """From what the sweep's plan says: its description and its trials."""
        arms = {trial.key: trial.arm for trial in trials if trial.arm}
        return cls(run_id, sweep_tags(record) | {Tag.PARENT: run_id, Tag.SWEEPS: record.asked.id}, arms)


def sweep_tags(record: SweepRecord) -> dict[str, str]:
    """Where it comes from: sweep, command, code, versions, machine and user.

    Args:
        record: The sweep's description, as `SweepTable.record` has it.
    """
    tags = {
        Tag.SWEEP: record.asked.name,
        Tag.SWEEP_ID: record.asked.id,
        Tag.COMMAND: shlex.join(record.asked.command)[:TAG_LENGTH],
        Tag.VERSIONS: " ".join(f"{name}={version}" for name, version in record.environment.versions.items()),
        Tag.CPU: str(record.environment.hardware.get("cpu", "")),
        MLFLOW_SOURCE_NAME: "bnbench",
        MLFLOW_SOURCE_TYPE: "LOCAL",
    }
    git = record.environment.git
    tags |= {tag: str(git[name]) for name, tag in _GIT.items() if name in git}
    with suppress(KeyError, OSError):  # a container may run under an id without a name
        tags[MLFLOW_USER] = getpass.getuser()
    return {tag: value for tag, value in tags.items() if value}
