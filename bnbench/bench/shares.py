"""Where bnbench's time goes, as shares of a trial's, and how much of it is useful multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["PARTS", "share_row"]

PARTS = ("data", "forward", "loss", "backward", "optimizer", "evaluation", "start and test", "tracking")
"""What a trial's time is made of."""


def share_row(
    *,
    phases: Sequence[Mapping[str, float]],
    around: Sequence[Mapping[str, float]],
    tracking_seconds: float,
    steps: int,
    multiply_adds: int,
    inner_rate: float,
    sweep_rate: float | None,
    product_rate: float,
    cores: int,
) -> dict[str, Any]:
    """Shares of one workload.

    Args:
        phases: By process, seconds of a trial-step in each phase.
        around: By process, seconds of a whole trial in its `evaluation` and at its `ends`.
        tracking_seconds: Processor time of a sweep's tracking thread, by trial.
        steps: Of the trial whose time is shared out; `around` is that trial's.
        multiply_adds: Useful ones of a trial-step.
        inner_rate: Trial-steps a second of the inner step, all cores together.
        sweep_rate: Trial-steps a second of a whole sweep, without its start-up; None if not measured.
        product_rate: Multiply-adds a second of one core in a large product.
        cores: Their number.

    Returns:
        `shares` by part, adding up to 1; `seconds`, the core seconds of a trial-step they are shares of; `covered`,
        how much of a whole sweep's core time the steps and evaluations make up, the rest being Lightning's loop and
        idle cores, or None; `of_product_rate`, the inner step's useful multiply-adds by what the cores could do.
    """
    by_part = {name: _mean([process[name] for process in phases]) for name in phases[0]}
    by_part["evaluation"] = _mean([process["evaluation"] for process in around]) / steps
    running = sum(by_part.values())
    by_part["start and test"] = _mean([process["ends"] for process in around]) / steps
    by_part["tracking"] = tracking_seconds / steps
    total = sum(by_part.values())
    return {
        "shares": {name: by_part[name] / total for name in PARTS},
        "seconds": total,
        "covered": None if sweep_rate is None else running * sweep_rate / cores,
        "of_product_rate": multiply_adds * inner_rate / (product_rate * cores),
        "steps": steps,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
