"""A trial's numbers now against the recorded ones, digit by digit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bnbench.record import names
from bnbench.record.results import TrialResult
from bnbench.sweep.planning.describe import count

# Relative, of the validation loss before the first step: TF32, in which some GPUs multiply, rounds by 2^-11.
TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
_SHOWN = 5  # differences of a trial


@dataclass(frozen=True)
class Difference:
    """A number that did not come out again; None where there is none.

    Attributes:
        key: The metric's.
        step: On its curve; None for a final number.
    """

    key: str
    step: int | None
    recorded: float | None
    now: float | None

    @property
    def relative(self) -> float:
        """Relative to the larger of the two; infinite where one is missing."""
        if self.recorded is None or self.now is None:
            return math.inf
        return abs(self.recorded - self.now) / max(abs(self.recorded), abs(self.now))

    def __str__(self) -> str:
        place = self.key if self.step is None else f"{self.key} at step {self.step}"
        size = "" if self.relative == math.inf else f", relative difference {self.relative:.2g}"
        return f"{place}: recorded {self.recorded!r}, now {self.now!r}{size}"


@dataclass(frozen=True)
class TrialComparison:
    """How a trial that was trained again compares with its record.

    Attributes:
        verdict: "same" digits; "near", as far as two devices can agree; or "other" numbers.
        text: In words, with the first differences.
        first: The first difference in words; empty if there is none.
    """

    verdict: Literal["same", "near", "other"]
    text: str
    first: str = ""


def compare(recorded: TrialResult, now: TrialResult, metrics: Iterable[str], precision: str) -> TrialComparison:
    """Whether a trial's numbers are the recorded ones, with a text that says how they differ.

    Args:
        recorded: From the store or a manifest.
        now: Trained again.
        metrics: As `differences` takes it.
        precision: The trial's, "float32" say; on another device it decides how near the first loss must be.
    """
    if now.status not in {"finished", "diverged"} and now.status != recorded.status:
        reason = f": {now.reason.splitlines()[-1]}" if now.reason else ""
        return TrialComparison(
            "other", f"{now.status}{reason}", f"recorded as {recorded.status}, now {now.status}{reason}"
        )
    differing = differences(recorded, now, metrics)
    finals, points = len(recorded.metrics), sum(map(len, recorded.curves.values()))
    if not differing:
        diverged = "" if recorded.diverged_step is None else f"diverged at step {recorded.diverged_step}, "
        curves = count(len(recorded.curves), "curve")
        text = f"same: {diverged}{count(finals, 'number')} and {curves} of {count(points, 'point')} in all"
        return TrialComparison("same", text)
    shown = "".join(f"\n    {difference}" for difference in differing[:_SHOWN])
    text = f"{len(differing)} of {finals + points} values differ, the first:{shown}"
    near = False
    if {device(recorded), device(now)} != {"cpu"}:
        first = next((d for d in differing if (d.key, d.step) == (names.VAL_LOSS, 0)), None)
        near = first is None or first.relative <= TOLERANCE[precision]
    return TrialComparison("near" if near else "other", text, str(differing[0]))


def differences(recorded: TrialResult, now: TrialResult, metrics: Iterable[str]) -> list[Difference]:
    """Every number that is not equal in both: the step of divergence, curves by step, finals last.

    Args:
        recorded: From the store or a manifest.
        now: Trained again.
        metrics: Those that any trial of the sweep has: others are newer than it, and not compared.
    """
    old, new, metrics = _values(recorded), _values(now), {*metrics}
    places = [place for place in {**old, **new} if place in old or place[0] in metrics]
    places.sort(key=lambda place: (place[1] is None, place[1] or 0, place[0]))
    pairs = [(place, old.get(place), new.get(place)) for place in places]
    differing = [Difference(*place, before, after) for place, before, after in pairs if before != after]
    if recorded.diverged_step != now.diverged_step:
        differing.insert(0, Difference("diverged_step", None, recorded.diverged_step, now.diverged_step))
    return differing


def known_metrics(results: Iterable[TrialResult]) -> set[str]:
    """The metrics that any of the trials has."""
    return {key for result in results for key in (*result.metrics, *result.curves)}


def device(result: TrialResult) -> str:
    """Where a trial was trained."""
    return result.tags.get(names.Tag.DEVICE, "cpu")


def _values(result: TrialResult) -> dict[tuple[str, int | None], float]:
    finals: dict[tuple[str, int | None], float] = {(key, None): value for key, value in result.metrics.items()}
    return finals | {(key, step): value for key, points in result.curves.items() for step, value in points}
