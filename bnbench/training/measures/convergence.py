"""How fast a validation curve rose and how far: steps to targets, its best point, the area under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnbench.record import names


def summarize_curve(
    curve: Sequence[tuple[int, float]],
    *,
    targets: Sequence[float],
    batch_size: int,
    diverged: bool = False,
) -> dict[str, float]:
    """Metrics of one trial's validation accuracy.

    A target that was not reached has `reached/…` 0 and no steps, for a trial that diverged as for one that was too
    slow: a budget in their place would be averaged as if it were steps. It is censored at the budget, which is the
    trial's `training.steps`. The true first hit lies between the evaluation that saw it and the one before.

    Args:
        curve: (step, accuracy) pairs on the evaluation grid, steps ascending.
        targets: Accuracies in (0, 1].
        batch_size: Examples a step.
        diverged: Whether the curve ends because the loss was not finite; then nothing is said of its best point
            or area, which would rest on the part before.

    Returns:
        `reached/…` for each target, `steps_to/…` and `examples_to/…` for each that was reached; and, unless diverged,
        the best accuracy, the first step that had it, and the mean over steps (trapezoids).
    """
    metrics: dict[str, float] = {}
    for target in targets:
        hit = next((step for step, acc in curve if acc >= target), None)
        metrics[names.reached(target)] = float(hit is not None)
        if hit is not None:
            metrics[names.steps_to(target)] = float(hit)
            metrics[names.examples_to(target)] = float(hit * batch_size)
    if curve and not diverged:
        at, acc = np.array([step for step, _ in curve]), np.array([value for _, value in curve])
        best = int(acc.argmax())
        metrics[names.ACC_BEST] = float(acc[best])
        metrics[names.ACC_BEST_STEP] = float(at[best])
        metrics[names.ACC_CURVE_AREA] = float(np.trapezoid(acc, at) / (at[-1] - at[0]))
    return metrics
