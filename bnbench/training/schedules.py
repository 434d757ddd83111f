"""The learning rate's factor at each step."""

from __future__ import annotations

import math

from bnbench.config import ScheduleConfig, ScheduleName


def lr_factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """What `optimizer.lr` is multiplied with for one update.

    Args:
        schedule: Warms up linearly over its `warmup_steps`, then follows its name.
        step: The update, counted from 0.
        steps: Updates in all.

    Returns:
        A factor in [0, 1].
    """
    warmup = schedule.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    match schedule.name:
        case ScheduleName.linear:
            return 1 + (schedule.final_factor - 1) * progress
        case ScheduleName.cosine:
            return schedule.final_factor + (1 - schedule.final_factor) * (1 + math.cos(math.pi * progress)) / 2
        case ScheduleName.step:
            return schedule.step_factor ** ((step - warmup) // schedule.every_steps)
        case _:
            return 1.0
