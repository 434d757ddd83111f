"""What one trial's training leaves behind: plain numbers that survive a round trip through JSON bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["MOST_POINTS", "Recorded", "TrialResult", "thinned"]

MOST_POINTS = 500
"""Of a curve: the UI draws no more of many runs, and a store is not filled with them."""


@dataclass(frozen=True)
class TrialResult:
    """The outcome of one trial.

    Attributes:
        key: The trial's key.
        params: What defines the trial, by dotted config key.
        status: One of `names.STATUSES`.
        reason: Why the trial is undefined, diverged or failed; if it finished, what its reader must know, or None.
        metrics: Final values by metric key; finite only.
        curves: By metric key, (step, value) pairs on the evaluation grid, at most `MOST_POINTS`; finite only.
        diverged_step: First step with a non-finite loss, or None.
        tags: What describes the run without defining the trial: pack, slot, device, versions.
        data: Name, source, checksum and split sizes of the images.
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
        """Strict JSON: a NaN or an infinity is an error, not a token other readers reject.

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
        result: What counts of it, whatever sweep trained it; its status may also be "missing". Of its tags there are
            those of its data and of `names.CONDITIONS`.
        origin: The description of the sweep that trained it, as `SweepTable.meta` has it.
        tuning: Whether it only chooses a learning rate.
    """

    result: TrialResult
    origin: dict[str, Any]
    tuning: bool

    @property
    def trained(self) -> bool:
        """Whether it has numbers."""
        return self.result.status in {"finished", "diverged"}


def thinned(curves: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    """The curves, those of more than `MOST_POINTS` at steps spread evenly over them; first and last stay.

    All keep the same steps, so that they can still be compared step by step.

    >>> long = [(step, 0.5) for step in range(2001)]
    >>> {key: len(points) for key, points in thinned({"val/acc": long, "val/acc_batch": long[::5]}).items()}
    {'val/acc': 500, 'val/acc_batch': 401}
    """
    steps = sorted({step for points in curves.values() if len(points) > MOST_POINTS for step, _ in points})
    last = len(steps) - 1
    kept = {steps[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS)} if steps else set()
    return {
        key: [(step, value) for step, value in points if step in kept] if len(points) > MOST_POINTS else points
        for key, points in curves.items()
    }
