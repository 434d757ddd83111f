"""A layer trained for some steps and evaluated between them: its statistics in effect, and how they came about.

Statistics are read off evaluation, which is an affine function of its input; so no layer need say what it keeps, and
what is judged is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from bnbench.check.blending import MEANS, VARIANCES, Blend, find_blend, of_batch
from bnbench.check.inputs import FEATURES, batch, probe
from bnbench.check.judged import Judged, Step, answer, difference, forward
from bnbench.check.process import RefusedError

Statistics = tuple[np.ndarray, np.ndarray]
"""Mean and variance in effect, each (C,)."""

_AFFINES = ("scale, then shift", "shift, then scale", "shift alone", "scale alone", "neither", "swapped")
_SINGLE = 3e-4
"""The tolerance for statistics that are kept in single precision, whatever the layer computes in."""
_DENOMINATORS = ("inside", "outside", "none", "variance")


@dataclass(frozen=True)
class Observed:
    """What a layer did over some training steps.

    Attributes:
        training: The output of the first training step.
        training_again: The output of the first batch after all the steps.
        evaluated: By the number of steps before it, the output of evaluation, or the message of its refusal.
        batch_in_evaluation: Whether the output of an example in evaluation depends on the others.
        unchanged: Whether evaluating left everything as it was.
        kept: By the number of steps, the mean and variance that the layer keeps under such names; without those that it
            does not name.
        names: Of everything that it keeps.
        mean, var: How the running statistics come about; None if nothing tried gives them.
        form: How evaluation applies scale and shift, and by what it divides.
        by_evaluation: Whether the statistics were read off evaluation, not from what the layer keeps.
        seen: By the number of steps, the statistics.
    """

    training: np.ndarray
    training_again: np.ndarray
    evaluated: Mapping[int, np.ndarray | str]
    batch_in_evaluation: bool
    unchanged: bool
    kept: Mapping[int, Statistics]
    names: Sequence[str]
    mean: Blend | None
    var: Blend | None
    form: tuple[str, str]
    by_evaluation: bool
    seen: Mapping[int, Statistics]


def observe(judged: Judged, axes: int, steps: int, layout: str = "own") -> Observed:
    """Train a new layer for that many steps, at least 3.

    Raises:
        RefusedError: If it refuses to train.
        DiedError: If it crashes or hangs.
    """
    asked: list[tuple[str, int]] = []
    plan: list[Step] = [judged.written()]

    def add(what: str, number: int, step: Step) -> None:
        asked.append((what, number))
        plan.append(step)

    evaluation = forward(probe(axes, 1), training=False)
    add("evaluated", 0, evaluation)
    add("kept", 0, {"do": "state"})
    for number in (1, 2, 3):
        add("trained", number, forward(batch(axes, number), training=True))
        add("evaluated", number, evaluation)
        add("kept", number, {"do": "state"})
    add("other", 3, forward(_with_others(axes), training=False))
    add("again", 3, evaluation)
    add("kept again", 3, {"do": "state"})
    if steps > 3:
        add("many", steps, {"do": "train", "batches": [batch(axes, number) for number in range(4, steps + 1)]})
        add("evaluated", steps, evaluation)
        add("kept", steps, {"do": "state"})
    add("trained again", 1, forward(batch(axes, 1), training=True))
    _, *answers = judged.run(plan, judged.spec(axes, layout=layout))
    given: dict[tuple[str, int], Any] = dict(zip(asked, answers, strict=True))
    for key in asked:
        if key[0] in ("trained", "many", "trained again"):
            answer(given[key])
    evaluated = {t: _output(value) for (what, t), value in given.items() if what == "evaluated"}
    states = {t: value for (what, t), value in given.items() if what == "kept" and isinstance(value, dict)}
    kept = {t: (state["mean"], state["var"]) for t, state in states.items() if _of_channels(state)}
    uses_batch = _differ(evaluated[3], _output(given["other", 3]), judged, first_example=True)
    same = _same(given["evaluated", 3], given["again", 3]) and _same(given["kept", 3], given["kept again", 3])
    times = [0, 1, 2, 3, *([steps] if steps > 3 else [])]
    mean, var, form, seen, by_evaluation = _explain(judged, axes, evaluated, kept, times, uses_batch)
    return Observed(
        training=given["trained", 1]["y"],
        training_again=given["trained again", 1]["y"],
        evaluated=evaluated,
        batch_in_evaluation=uses_batch,
        unchanged=same,
        kept=kept,
        names=states[3]["names"] if 3 in states else (),
        mean=mean,
        var=var,
        form=form,
        by_evaluation=by_evaluation,
        seen=seen,
    )


def _of_channels(state: Mapping[str, Any]) -> bool:
    """Whether it names a mean and a variance, with one value a channel."""
    return all(role in state and np.shape(state[role]) == (FEATURES,) for role in ("mean", "var"))


def _with_others(axes: int) -> np.ndarray:
    """The first example of the probe among other examples."""
    return np.concatenate([probe(axes, 1)[:1], probe(axes, 2)[1:]])


def _output(value: Any) -> np.ndarray | str:
    return str(value) if isinstance(value, RefusedError) else np.asarray(value["y"])


def _differ(a: np.ndarray | str, b: np.ndarray | str, judged: Judged, *, first_example: bool) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return False
    if first_example:
        a, b = a[:1], b[:1]
    return not judged.close(a, b) and bool(np.isfinite(a).all() or np.isfinite(b).all())


def _same(a: Any, b: Any) -> bool:
    """Whether two answers agree in every bit."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return True
    arrays = [name for name, value in a.items() if isinstance(value, np.ndarray)]
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in arrays)


def _explain(
    judged: Judged,
    axes: int,
    evaluated: Mapping[int, np.ndarray | str],
    kept: Mapping[int, Statistics],
    times: Sequence[int],
    uses_batch: bool,
) -> tuple[Blend | None, Blend | None, tuple[str, str], Mapping[int, Statistics], bool]:
    """How the statistics come about: by evaluation, in the first form in which it can be explained; else as kept."""
    means, variances = _of_batches(axes, max(times), judged.eps)
    usual = (judged.formula.affine, judged.formula.denominator) if judged.formula else (_AFFINES[0], _DENOMINATORS[0])
    best: tuple[Blend | None, Blend | None, tuple[str, str], Mapping[int, Statistics], bool] | None = None
    for tolerance in dict.fromkeys([max(judged.tolerance * 10, 1e-7), _SINGLE]):
        by_evaluation = iter(()) if uses_batch else _in_effect(judged, axes, evaluated, times, usual)
        for form, seen, from_evaluation in chain(by_evaluation, [(usual, kept, False)] if kept else []):
            if not {1, 2, 3} <= seen.keys():
                continue
            mean = find_blend([*MEANS], means, {t: s[0] for t, s in seen.items()}, tolerance)
            weights = [mean.weight, 1 - mean.weight] if mean else []
            var = find_blend([*VARIANCES], variances, {t: s[1] for t, s in seen.items()}, tolerance, weights)
            found = (mean, var, form, seen, from_evaluation)
            if mean and var:
                return found
            if best is None or ((mean or var) and not (best[0] or best[1])):
                best = found
    return best or (None, None, usual, {}, False)


def _of_batches(axes: int, steps: int, eps: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    each = [of_batch(batch(axes, number), eps) for number in range(1, steps + 1)]
    means, variances = ({name: np.array([one[i][name] for one in each]) for name in each[0][i]} for i in (0, 1))
    return means, variances


def _in_effect(
    judged: Judged,
    axes: int,
    evaluated: Mapping[int, np.ndarray | str],
    times: Sequence[int],
    usual: tuple[str, str],
) -> Iterator[tuple[tuple[str, str], Mapping[int, Statistics], bool]]:
    """By the number of steps the statistics that evaluation used, for each form that it may have; the usual first."""
    forms = [(affine, denominator) for affine in _AFFINES for denominator in _DENOMINATORS]
    x = probe(axes, 1)
    for form in [usual, *(form for form in forms if form != usual)]:
        seen = {}
        for t in times:
            y = evaluated[t]
            if not isinstance(y, str) and np.isfinite(y).all():
                statistics = in_effect(x, y, judged.gamma, judged.beta, form, judged.eps)
                if statistics is not None:
                    seen[t] = statistics
        yield form, seen, True


def in_effect(
    x: np.ndarray, y: np.ndarray, gamma: np.ndarray, beta: np.ndarray, form: tuple[str, str], eps: float
) -> Statistics | None:
    """Mean and variance with which y was evaluated from x; None if no channel's y is affine in its x."""
    rows, outputs = (np.moveaxis(values, 1, -1).reshape(-1, values.shape[1]) for values in (x, y))
    slope, offset = np.array([np.polyfit(rows[:, c], outputs[:, c], 1) for c in range(rows.shape[1])]).T
    if difference(rows * slope + offset, outputs) > 1e-4 * (1 + float(np.abs(outputs).max())) or not slope.all():
        return None
    affine, denominator = form
    scale, shift = gamma, beta
    if affine == "swapped":
        scale, shift = beta, gamma
    if affine == "shift, then scale":
        shift = gamma * beta
    if affine in ("shift alone", "neither"):
        scale = np.ones_like(gamma)
    if affine in ("scale alone", "neither"):
        shift = np.zeros_like(beta)
    divisor = scale / slope
    if affine == "one plus scale":
        divisor = (1 + gamma) / slope
    mean = (shift - offset) / slope
    var = {
        "inside": divisor**2 - eps,
        "largest": divisor**2,
        "outside": (divisor - eps) ** 2,
        "none": divisor**2,
        "variance": divisor - eps,
    }[denominator]
    return mean, var


def evaluated_by(x: np.ndarray, statistics: Statistics, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    """The output of evaluation by `bnbench.reference` with these statistics."""
    from bnbench.reference import BatchNormState, batchnorm_forward

    state = BatchNormState(
        mode="test", eps=eps, momentum=0.0, running_mean=statistics[0], running_var=statistics[1], ddof=0
    )
    rows = np.moveaxis(x, 1, -1)
    y, _ = batchnorm_forward(rows.reshape(-1, x.shape[1]), gamma, beta, state)
    return np.moveaxis(y.reshape(rows.shape), -1, 1)
