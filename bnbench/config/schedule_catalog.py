"""The schedules of the learning rate: the keys of `schedule`, and an entry for each.

A new schedule takes an entry here, any key that it adds to `ScheduleConfig`, and `conf/schedule/NAME.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bnbench.config.number import number


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes from step to step.

    Attributes:
        summary: One line for `bnbench list`.
        keys: The keys of `schedule` that have an effect on it. With `warmup_steps` among them the rate first rises
            linearly.
        factor: Gives the learning rate's factor after the warmup. Its arguments are the configuration, the number of
            updates since the warmup, and how many follow the warmup in all, at least 1.
        needs_warmup: Whether `warmup_steps=0` is an error.
    """

    summary: str
    keys: frozenset[str]
    factor: Callable[[ScheduleConfig, int, int], float]
    needs_warmup: bool = False


def _constant(schedule: ScheduleConfig, step: int, steps: int) -> float:
    return 1.0


def _linear(schedule: ScheduleConfig, step: int, steps: int) -> float:
    return 1 + (schedule.final_factor - 1) * (step / steps)


def _cosine(schedule: ScheduleConfig, step: int, steps: int) -> float:
    return schedule.final_factor + (1 - schedule.final_factor) * (1 + math.cos(math.pi * (step / steps))) / 2


def _step(schedule: ScheduleConfig, step: int, steps: int) -> float:
    return schedule.step_factor ** (step // schedule.every_steps)


_WARMUP_KEYS = frozenset({"warmup_steps"})
_FALLING_KEYS = _WARMUP_KEYS | {"final_factor"}

SCHEDULES = {
    "constant": Schedule("the learning rate stays", frozenset(), _constant),
    "warmup": Schedule("up linearly over the first steps, then constant", _WARMUP_KEYS, _constant, needs_warmup=True),
    "linear": Schedule("down linearly to final_factor * lr", _FALLING_KEYS, _linear),
    "cosine": Schedule("down along half a cosine to final_factor * lr", _FALLING_KEYS, _cosine),
    "step": Schedule("times step_factor every so many steps", _WARMUP_KEYS | {"every_steps", "step_factor"}, _step),
}
"""Every schedule, by the name that `schedule=` takes."""

ScheduleName = StrEnum("ScheduleName", [*SCHEDULES], module=__name__)  # type: ignore[misc]


@dataclass(frozen=True)
class ScheduleConfig:
    """By what factor `lr` is multiplied at each step. All but `constant` rise over `warmup_steps` first, if any."""

    name: ScheduleName = ScheduleName["constant"]
    warmup_steps: int = number(0, 0)
    final_factor: float = number(0.0, 0, 1)
    every_steps: int = number(100, 1)
    step_factor: float = number(0.5, 0, 1)


def lr_factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The factor by which `optimizer.lr` is multiplied for one update.

    Args:
        schedule: The section `schedule` of the configuration.
        step: Which update it is, counted from 0.
        steps: How many updates the trial makes.

    Returns:
        A factor in [0, 1].
    """
    entry = SCHEDULES[schedule.name]
    warmup = schedule.warmup_steps if "warmup_steps" in entry.keys else 0
    if step < warmup:
        return (step + 1) / warmup
    return entry.factor(schedule, step - warmup, max(1, steps - warmup))
