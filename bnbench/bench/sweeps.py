"""How long the timed sweeps are, and how often they evaluate: as a trial of default length does on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bnbench.bench.workloads import trials_of
from bnbench.config import Trial
from bnbench.config.grid import evaluation_examples, evaluation_steps
from bnbench.config.schema import DEFAULT_STEPS
from bnbench.data import DATASETS

__all__ = ["SweepShape", "of_length", "shape_sweep"]


@dataclass(frozen=True)
class SweepShape:
    """A sweep to time, beside another of twice its steps.

    Attributes:
        steps: Of each trial.
        overrides: The workload's, and how to evaluate.
    """

    steps: int
    overrides: list[str]


def of_length(trial: Trial, steps: int) -> Trial:
    """The trial with another budget."""
    training = replace(trial.training, steps=steps, epochs=None, examples=None)
    return replace(trial, steps=steps, training=training)


def shape_sweep(overrides: Sequence[str], steps: float) -> SweepShape:
    """A sweep of about so many steps that evaluates as a trial of default length does on average.

    On its own geometric grid, a trial of few steps would evaluate far more often than one that anybody trains. So the
    grid is linear, with as many evaluated images a step as a trial of default length has.

    Args:
        overrides: The workload's.
        steps: Wanted; rounded to whole intervals between evaluations.
    """
    trial = of_length(trials_of(overrides, [0])[0], DEFAULT_STEPS)
    examples = evaluation_examples(trial, DATASETS[trial.data.name].val)
    every = DEFAULT_STEPS // len(evaluation_steps(trial))
    if steps < every:  # half as far apart, on half the images
        every, examples = every // 2, examples // 2
    how = ["training.eval_grid=linear", f"training.eval_every={every}", f"training.eval_examples={examples}"]
    return SweepShape(every * max(1, round(steps / every)), [*overrides, *how])
