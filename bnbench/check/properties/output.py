"""What a training step puts out, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bnbench.check.formulas import Formula, gradient, right_gradients, right_output
from bnbench.check.inputs import batch, small, upstream
from bnbench.check.judged import Judged, answer, backward, difference, find_formula, forward, write
from bnbench.check.process import RefusedError
from bnbench.check.row import Row, Status

_GROUP = "training step"
_Three = tuple[np.ndarray, np.ndarray, np.ndarray]


def training_output(judged: Judged) -> Iterator[Row]:
    """The output of a training step; finds out the formula and the eps, which other properties go on with."""
    x = batch(judged.axes, 1)
    _, given = judged.run([judged.written(), forward(x, training=True)])
    y = answer(given)["y"]
    found = find_formula(judged, x, y)
    if found is None and judged.dtype == "float64":
        found = _in_single(judged, x, y)
    if found is not None:
        judged.formula, judged.eps = found
    yield output_row(judged, "training output", x, y, required=True)


def _in_single(judged: Judged, x: np.ndarray, y: np.ndarray) -> tuple[Formula, float] | None:
    """The formula, up to single precision, of a layer that takes double precision and computes in single."""
    before = judged.tolerance
    judged.tolerance = 3e-5
    found = find_formula(judged, x, y)
    if found is None or found[0] != Formula():
        judged.tolerance = before
    return found


def output_row(judged: Judged, name: str, x: np.ndarray, y: np.ndarray, *, required: bool = False) -> Row:
    """How a training output compares with the reference, by the formula that was found."""
    expected = right_output(x, judged.gamma, judged.beta, judged.eps)
    error = difference(y, expected)
    if judged.close(y, expected):
        return Row(_GROUP, name, Status.holds, "gamma * (x - mean) / sqrt(var + eps) + beta", error, required=required)
    words = judged.formula.departures(x.ndim) if judged.formula else []
    explained = "as if " + " and ".join(words) if words else ""
    said = f"differs by {error:.3g}" if words else f"differs by {error:.3g}; no formula that was tried gives it"
    if np.isnan(y).any():
        said = f"{int(np.isnan(y).sum())} of {y.size} values are NaN"
    return Row(_GROUP, name, Status.differs, said, error, explained, smallest_output(judged, x.ndim), required=required)


def smallest_output(judged: Judged, axes: int) -> str:
    """The smallest input that shows a training output that differs, in words; empty if none of the small ones does."""
    gamma, beta = np.array([2.0, 3.0]), np.array([1.0, -1.0])
    for x in small(axes):
        features = x.shape[1]
        gammas = gamma[:features] if judged.has_scale else np.ones(features)
        betas = beta[:features] if judged.has_shift else np.zeros(features)
        steps = [write(gammas, betas), forward(x, training=True)]
        try:
            y = answer(judged.run(steps, judged.spec(axes, features=features))[1])["y"]
        except RefusedError:
            continue
        expected = right_output(x, gammas, betas, judged.eps)
        if not judged.close(y, expected, 1e-4):
            given = f"x = {_text(x)} with scale {_text(gammas)} and shift {_text(betas)}"
            return f"{given} gives {_text(y)}, should be {_text(expected)}"
    return ""


def _text(values: np.ndarray) -> str:
    return str(np.array(values).round(4).tolist())


def gradients(judged: Judged) -> Iterator[Row]:
    """The gradients of a training step to input, scale and shift."""
    x, dout = batch(judged.axes, 1), upstream(judged.axes)
    plan = [judged.written(), backward(x, dout, training=True)]
    given = answer(judged.run(plan)[1])
    values = (x, judged.gamma, judged.beta)
    expected = right_gradients(x, dout, *values[1:], judged.eps)
    names = ("gradient to input", "gradient to scale", "gradient to shift")
    for which, (name, key) in enumerate(zip(names, ("dx", "dscale", "dshift"), strict=True)):
        if given[key] is None:
            yield Row(_GROUP, name, Status.refused, f"it has no {('input', 'scale', 'shift')[which]} that is trained")
        else:
            yield _gradient_row(judged, name, which, values, dout, given[key], expected[which])


def _gradient_row(
    judged: Judged, name: str, which: int, values: _Three, dout: np.ndarray, got: np.ndarray, expected: np.ndarray
) -> Row:
    error = difference(got, expected)
    if judged.close(got, expected):
        return Row(_GROUP, name, Status.holds, "as the closed form", error)
    formula = judged.formula or Formula()
    for explained, candidate in _candidates(formula, judged.eps, which, values, dout, expected):
        if judged.close(got, candidate):
            if not explained:
                return Row(_GROUP, name, Status.holds, "that of its own output, which differs", error)
            smallest = smallest_gradient(judged, which) if which == 0 else ""
            judged.gradient_as = explained if which == 0 else judged.gradient_as
            return Row(_GROUP, name, Status.differs, f"differs by {error:.3g}", error, f"as if {explained}", smallest)
    said = f"differs by {error:.3g}; nothing that was tried gives it"
    return Row(
        _GROUP, name, Status.differs, said, error, smallest=smallest_gradient(judged, which) if which == 0 else ""
    )


def gradient_as(judged: Judged, x: np.ndarray, dout: np.ndarray, dx: np.ndarray) -> str | None:
    """In words, as what a gradient to the input differs: empty if it is right, None if nothing tried gives it."""
    values = (x, judged.gamma, judged.beta)
    expected = right_gradients(x, dout, *values[1:], judged.eps)[0]
    if judged.close(dx, expected):
        return ""
    formula = judged.formula if judged.formula and (judged.formula.over is None or x.ndim == judged.axes) else Formula()
    candidates = _candidates(formula, judged.eps, 0, values, dout, expected)
    return next((words for words, candidate in candidates if judged.close(dx, candidate)), None)


def _candidates(
    formula: Formula, eps: float, which: int, values: _Three, dout: np.ndarray, expected: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """What a gradient may be instead, each with words; without words where it is that of the layer's own output."""
    x, gamma, _ = values
    count = x.size // x.shape[1]

    def of(one: Formula) -> np.ndarray:
        function: Callable[..., Any] = partial(one.__call__, eps=eps)
        return gradient(function, values, dout, which)

    if formula != Formula():
        yield "", of(formula)
    variants = [Formula(), *([formula] if formula != Formula() else [])]
    if which == 0:
        for one in variants:
            yield "the share that goes through the mean is forgotten", of(replace(one, constant_mean=True))
            yield "the share that goes through the variance is forgotten", of(replace(one, constant_var=True))
            both = replace(one, constant_mean=True, constant_var=True)
            yield "mean and variance were constants: both their shares are forgotten", of(both)
        scale = gamma.reshape(1, -1, *[1] * (x.ndim - 2))
        yield "the scale is left out", expected / scale
        deviation = np.sqrt(np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]).var(0) + eps).reshape(scale.shape)
        yield "it is not divided by the deviation", expected * deviation
        yield "it is that of the output itself", dout
    else:
        yield "it is averaged over the batch, not summed", expected / count
        yield "it is averaged over the examples, not summed", expected / len(x)
    if which == 1:
        over = tuple(axis for axis in range(x.ndim) if axis != 1)
        yield "it takes the input, not the normalized one", (dout * x).sum(over)
    yield "its sign is turned", -expected


def smallest_gradient(judged: Judged, which: int) -> str:
    """The smallest input that shows a gradient that differs, in words."""
    for x in small(judged.axes):
        features = x.shape[1]
        gammas, betas = np.full(features, 2.0 if judged.has_scale else 1.0), np.zeros(features)
        dout = np.zeros_like(x)
        dout[(0,) * x.ndim] = 1.0
        steps = [
            write(gammas, betas),
            backward(x, dout, training=True),
        ]
        try:
            given = answer(judged.run(steps, judged.spec(features=features))[1])
        except RefusedError:
            continue
        got = given[("dx", "dscale", "dshift")[which]]
        expected = right_gradients(x, dout, gammas, betas, judged.eps)[which]
        if got is not None and not judged.close(got, expected, 1e-4):
            where = f"x = {_text(x)} with scale {_text(gammas)} and a gradient of 1 at the first output"
            return f"{where} gives {_text(got)}, should be {_text(expected)}"
    return ""
