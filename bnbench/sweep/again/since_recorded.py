"""Finds what has changed, of all that a trial's numbers depend on, since they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bnbench.config import Device, Engine, Init, Trial, environment
from bnbench.record.names import CONDITIONS, Tag
from bnbench.sweep.again.compare import TOLERANCE
from bnbench.sweep.planning.rebuild import Retraining
from bnbench.tensors.kernels import described_settings

_PACKAGES = ("bnbench", "numpy", "pytorch-lightning")
_DIGITS = 12  # shown of a checksum or a commit
_GROWS = "and training makes such a difference grow"
_WHY = "where digits differ, this may be why"
_CONSEQUENCES = {
    "data": "other images give other numbers",
    "numerics version": "bnbench computes otherwise than it did, which gives other numbers",
    "torch": f"its kernels may round otherwise, {_GROWS}",
    "CPU": f"kernels are picked by the CPU, so rounding may differ, {_GROWS}",
    "device": (
        "its kernels sum in another order: the validation loss before the first step must agree within a relative "
        f"{TOLERANCE['float32']:g} ({TOLERANCE['float64']:g} in float64), as far as one forward pass may round; "
        "training makes rounding grow without bound, so the other values are shown and not judged"
    ),
}
_KERNELS = "kernels asked for by the environment"
_CONDITIONS = {
    Tag.DEVICE: "device",
    Tag.CPU_CAPABILITY: "CPU capability",
    Tag.BLAS: "BLAS",
    Tag.KERNELS: _KERNELS,
    Tag.THREADS: "threads",
}


_OF_THE_CPU = {"CPU", "CPU capability", "BLAS", "threads"}
_UNIFORM = {Init.torch, Init.kaiming_uniform, Init.xavier_uniform}


@dataclass(frozen=True)
class Change:
    """Something that was recorded and has another value now; as text it is one line."""

    what: str
    then: str
    now: str

    def __str__(self) -> str:
        name = "checksum of the data" if self.what == "data" else self.what
        return f"{name} {self.then} when recorded, {self.now} now"

    @property
    def in_key(self) -> bool:
        """Whether a trial's key says it too."""
        return self.what in {"data", "numerics version", "torch", _KERNELS}


def changes(retraining: Retraining, conditions: Mapping[str, str] | None = None) -> list[Change]:
    """All that has changed since a trial was recorded, the likeliest cause of another number first.

    What was not recorded, by an older bnbench say, is left out.

    Args:
        retraining: The trial.
        conditions: The tags that it got when it was trained again; None before that, when no GPU's name is known.
    """
    origin, tags = retraining.recorded.origin, retraining.recorded.result.tags
    then, here = origin.environment.versions, environment.versions()
    on_cpu = {Tag.DEVICE: "cpu"} if retraining.trial.training.device == Device.cpu else {}
    now = {Tag.KERNELS: described_settings(), **on_cpu} if conditions is None else conditions
    compared = [
        ("data", tags.get(Tag.DATA_CHECKSUM, "")[:_DIGITS], retraining.checksum[:_DIGITS]),
        ("numerics version", then.get("numerics"), here.get("numerics")),
        *((name, then.get(name), here.get(name)) for name in ("torch", *_PACKAGES)),
        *((_CONDITIONS[tag], tags.get(tag), now.get(tag)) for tag in CONDITIONS),
        ("CPU", tags.get(Tag.CPU) or origin.environment.hardware.get("cpu"), environment.cpu_name()),
    ]
    if _is_the_same_on_any_cpu(retraining.trial):
        compared = [entry for entry in compared if entry[0] not in _OF_THE_CPU]
    changed = [Change(what, old, new) for what, old, new in compared if old and new and old != new]
    same = (
        retraining.trial.key == retraining.recorded.result.key
        or retraining.trial.params != retraining.recorded.result.params
    )
    if not same and not any(change.in_key for change in changed):
        # A key is made of these and the params; older sweeps did not record the numerics version.
        commit = origin.environment.git.get("commit", "unknown")[:_DIGITS]
        old = f"of bnbench {then.get('bnbench')} (commit {commit})"
        changed.insert(0, Change("numerics version", old, here["numerics"]))
    return changed


def _is_the_same_on_any_cpu(trial: Trial) -> bool:
    """Whether its numbers come from bnbench's kernels and from exact arithmetic alone.

    Measures are computed by torch, and torch draws normally distributed weights in the arithmetic of the CPU.
    """
    schemes = {trial.model.init, trial.model.head_init or trial.model.init}
    return trial.training.engine == Engine.lanes and not trial.training.measures and schemes <= _UNIFORM


def notes(cases: Iterable[Retraining]) -> list[str]:
    """A line for each thing that has changed since trials were recorded, and what follows from it."""
    lines = (f"{change}: {_CONSEQUENCES.get(change.what, _WHY)}" for case in cases for change in changes(case))
    return [*dict.fromkeys(lines)]


def likely_cause(retraining: Retraining, conditions: Mapping[str, str]) -> str:
    """Why a trial's numbers are not the recorded ones, as far as what was recorded can tell.

    Args:
        retraining: The trial.
        conditions: The tags that it got when it was trained again.
    """
    changed = changes(retraining, conditions)
    if not changed:
        unchanged = "data, numerics version, torch, threads, BLAS and CPU are as they were"
        return f"unknown: {unchanged}; it is a fault of bnbench or of this machine"
    first, *others = map(str, changed)
    return first + (f" (also: {'; '.join(others)})" if others else "")
