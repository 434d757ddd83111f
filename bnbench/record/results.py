"""The results of one trial's training: plain numbers that survive a round trip through JSON bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bnbench.record import names
from bnbench.record.sweep_record import SweepRecord


@dataclass(frozen=True)
class TrialResult:
    """The outcome of one trial.

    Attributes:
        key: The trial's key.
        params: What defines the trial, by dotted config key.
        status: One of `names.STATUSES`.
        reason: Why the trial is undefined, diverged or failed; if it finished, a remark for the reader, or None.
        metrics: Final values by metric key; finite only.
        curves: By metric key, (step, value) pairs on the evaluation grid; finite only.
        diverged_step: First step with a non-finite loss, or None.
        tags: What describes the run without defining the trial: pack, slot, device, versions.
        data: Name, source, checksum and split sizes of the images, and the share of the test split's largest class.
        started: Unix time in seconds at which the trial's pack started.
        ended: Unix time in seconds at which it ended.
    """

    key: str
    params: dict[str, Any]
    status: str
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    diverged_step: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    ended: float = 0.0

    def to_json(self) -> str:
        """The result as strict JSON, in which NaN and infinity are errors, as other readers reject them.

        Raises:
            ValueError: If a number is not finite.
        """
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrialResult:
        """The result `to_json` wrote."""
        values = json.loads(text)
        values["curves"] = {key: [(int(s), v) for s, v in points] for key, points in values["curves"].items()}
        return cls(**values)


@dataclass(frozen=True)
class Recorded:
    """A planned trial of a sweep as it was recorded.

    Attributes:
        result: The trial's result, whichever sweep trained it; its status may also be "missing". It has only the tags
            for the data, for `names.CONDITIONS`, and for whether it was trained alone.
        origin: The description of the sweep that trained it.
        tuning: Whether it only chooses a learning rate.
    """

    result: TrialResult
    origin: SweepRecord
    tuning: bool

    @property
    def trained(self) -> bool:
        """Whether the trial has results: it finished or diverged."""
        return self.result.status in {"finished", "diverged"}


def reached_only(metrics: Mapping[str, float]) -> dict[str, float]:
    """Final metrics without the steps and examples to targets that were missed.

    Older bnbenches recorded the budget there, as if it had been reached at the last step.

    >>> reached_only({"reached/val_acc_0.9": 0.0, "steps_to/val_acc_0.9": 600.0, "test/acc": 0.5})
    {'reached/val_acc_0.9': 0.0, 'test/acc': 0.5}
    """
    heads = (key.partition("/val_acc_") for key, value in metrics.items() if value == 0)
    missed = [float(target) for head, _, target in heads if head == "reached"]
    empty = {key(target) for target in missed for key in (names.steps_to, names.examples_to)}
    return {key: value for key, value in metrics.items() if key not in empty}
