"""After which steps a trial is evaluated and on how many images: its configuration fixes both before it runs."""

from __future__ import annotations

import math

from bnbench.config.choices import EvalGrid, Measure
from bnbench.config.trial import Trial

_RATIO = 1.15

_COARSE = 4  # every fourth point of the grid is a coarse one

# For one image, the forward pass of an evaluation costs up to half of the forward, backward and update of a
# training step. If evaluation costs a quarter of what training costs, it is a fifth of the whole.
_FORWARD_SHARE = 0.5
_EVALUATION_SHARE = 1 / 4
_MIN_EXAMPLES = 100


def evaluation_steps(trial: Trial) -> list[int]:
    """The steps after which the trial is evaluated, ascending, from 0 to its last.

    A geometric grid goes up one by one as long as that is more than a ratio of 1.15, so that two trials that
    differ by 15 % in steps to a target differ on the grid too, early and late alike.
    """
    steps = trial.steps
    if trial.training.eval_grid == EvalGrid.linear:
        return sorted({*range(0, steps, trial.training.eval_every), steps})
    grid = [0, 1]
    while grid[-1] < steps:
        grid.append(min(steps, max(grid[-1] + 1, math.floor(grid[-1] * _RATIO))))
    return grid


def coarse_steps(trial: Trial) -> list[int]:
    """Every fourth point of the evaluation grid and its last, where batch statistics are evaluated too."""
    grid = evaluation_steps(trial)
    return sorted({*grid[::_COARSE], grid[-1]})


def measured_steps(trial: Trial) -> list[int]:
    """The steps after which `training.measures` are taken, ascending.

    They are the coarse ones, or every `training.measure_every`-th; none if no measure is taken along the way.
    """
    if not {*trial.training.measures} - {Measure.test_shift}:
        return []
    every = trial.training.measure_every
    return coarse_steps(trial) if every is None else [*range(0, trial.steps, every), trial.steps]


def evaluation_examples(trial: Trial, val_size: int) -> int:
    """How many validation images, counted from the first, each evaluation along the curve uses.

    It is `training.eval_examples`, or as many as keep evaluation below about a fifth of the trial's time, but at
    least 100. Arms are compared by the accuracy on all of them, taken once after the last step:
    `names.VAL_ACC_FINAL`.
    """
    if trial.training.eval_examples is not None:
        return min(trial.training.eval_examples, val_size)
    evaluations = len(evaluation_steps(trial)) * (1 + 1 / _COARSE)
    trained_examples = trial.steps * trial.training.batch_size
    affordable = math.floor(trained_examples * _EVALUATION_SHARE / _FORWARD_SHARE / evaluations)
    return min(val_size, max(_MIN_EXAMPLES, affordable))
