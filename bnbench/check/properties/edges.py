"""Inputs at the edge: one example, none, a constant feature, a large mean, a NaN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bnbench.check.inputs import FEATURES, SHAPES, batch, per_channel, probe
from bnbench.check.judged import Judged, Step, answer, difference, forward
from bnbench.check.process import RefusedError
from bnbench.check.row import Row, Status

_GROUP = "edge inputs"
_UNIT = 2.0**-24
"""Half of a unit in the last place of 1 in single precision."""


def one_example(judged: Judged) -> Iterator[Row]:
    """A training step on one value a channel: it has no variance, and its normalization is 0 by the formula."""
    name = "one value a channel"
    axes = judged.axes
    x = batch(axes, 1)[:1].reshape(1, FEATURES, -1)[:, :, :1].reshape(1, FEATURES, *[1] * (axes - 2))
    try:
        y, after = _train_and_evaluate(judged, x)
    except RefusedError as refusal:
        yield Row(_GROUP, name, Status.refused, str(refusal))
        return
    shown = f"x = {np.round(x, 3).tolist()}"
    if not np.isfinite(y).all():
        yield Row(_GROUP, name, Status.differs, "the output is NaN or infinite", smallest=shown)
    elif isinstance(after, np.ndarray) and not np.isfinite(after).all():
        said = "evaluation is NaN ever after, for its variance of divisor N - 1 is 0 / 0 and is kept"
        yield Row(_GROUP, name, Status.differs, said, smallest=shown)
    elif judged.close(y, np.broadcast_to(per_channel(judged.beta, axes), y.shape)):
        yield Row(_GROUP, name, Status.holds, "the output is the shift, whatever the input")
    elif judged.close(y, x):
        yield Row(_GROUP, name, Status.differs, "the input is passed through as it is", smallest=shown)
    else:
        error = difference(y, np.broadcast_to(per_channel(judged.beta, axes), y.shape))
        yield Row(_GROUP, name, Status.differs, f"differs by {error:.3g} from the shift", error, smallest=shown)


def one_example_with_positions(judged: Judged) -> Iterator[Row]:
    """A training step on one image, whose positions have a variance."""
    name = "one example with positions"
    axes = judged.with_positions
    x = batch(axes, 1)[:1]
    try:
        y, after = _train_and_evaluate(judged, x, axes)
    except RefusedError as refusal:
        yield Row(_GROUP, name, Status.refused, str(refusal))
        return
    expected = judged.output(x)
    error = difference(y, expected)
    if not judged.close(y, expected):
        yield Row(_GROUP, name, Status.differs, f"differs by {error:.3g}", error)
    elif isinstance(after, np.ndarray) and not np.isfinite(after).all():
        yield Row(_GROUP, name, Status.differs, "evaluation is NaN ever after")
    else:
        yield Row(_GROUP, name, Status.holds, "normalized with the statistics of its positions", error)


def empty_batch(judged: Judged) -> Iterator[Row]:
    """A training step on no examples, which has nothing to blend."""
    name = "empty batch"
    try:
        y, after = _train_and_evaluate(judged, np.zeros((0, *SHAPES[judged.axes][1:])))
    except RefusedError as refusal:
        yield Row(_GROUP, name, Status.refused, str(refusal))
        return
    before = answer(judged.run([judged.written(), _evaluation(judged.axes)])[1])["y"]
    if isinstance(after, np.ndarray) and not np.isfinite(after).all():
        yield Row(_GROUP, name, Status.differs, "evaluation is NaN ever after", smallest=f"x of shape {y.shape}")
    elif isinstance(after, np.ndarray) and not judged.close(after, before):
        said = "the running statistics change, though there is nothing to blend"
        yield Row(_GROUP, name, Status.differs, said, difference(after, before), smallest=f"x of shape {y.shape}")
    else:
        yield Row(_GROUP, name, Status.holds, f"an output of shape {y.shape}, statistics as they were")


def _evaluation(axes: int) -> Step:
    return forward(probe(axes, 1), training=False)


def _train_and_evaluate(judged: Judged, x: np.ndarray, axes: int | None = None) -> tuple[np.ndarray, Any]:
    """The training output, and that of an evaluation after it, if that is not refused."""
    axes = axes or judged.axes
    plan = [judged.written(), forward(x, training=True), _evaluation(axes)]
    _, trained, after = judged.run(plan, judged.spec(axes))
    return answer(trained)["y"], after["y"] if isinstance(after, dict) else str(after)


def constant_feature(judged: Judged) -> Iterator[Row]:
    """A feature of one value throughout the batch, in single precision: its normalization is 0."""
    name = "constant feature, float32"
    constants = np.array([5.0, 33.3, 1234.567])
    x = np.array(np.broadcast_to(per_channel(constants, judged.axes), SHAPES[judged.axes]))
    y, after = _in_single(judged, x)
    apart = np.abs(y - judged.output(x)).max(axis=(0, *range(2, y.ndim)))
    # The mean is rounded, and the square root of eps divides what is lost.
    bound = 32 * _UNIT * constants / np.sqrt(max(judged.eps, 1e-12)) * np.abs(judged.gamma) + 1e-6
    said = ", ".join(f"{value:g}: {far:.2g}" for value, far in zip(constants, apart, strict=True))
    if np.isnan(y).any():
        where = ", ".join(f"{value:g}" for value, far in zip(constants, apart, strict=True) if np.isnan(far))
        yield Row(
            _GROUP,
            name,
            Status.differs,
            f"NaN for {where}",
            explained="as if the variance were mean(x²) - mean(x)², which rounding makes negative",
            smallest=f"{where.partition(',')[0]} twice",
        )
    elif isinstance(after, np.ndarray) and not np.isfinite(after).all():
        yield Row(_GROUP, name, Status.differs, "evaluation is NaN ever after")
    elif (apart > bound).any():
        said = f"off the shift by {said}, where rounding the mean allows {', '.join(f'{b:.2g}' for b in bound)}"
        yield Row(_GROUP, name, Status.differs, said, float(apart.max()))
    else:
        yield Row(_GROUP, name, Status.holds, f"off the shift by {said}: rounding of the mean", float(apart.max()))


def large_mean(judged: Judged) -> Iterator[Row]:
    """Features whose deviation is small beside their mean, in single precision."""
    name = "large mean, float32"
    shape = SHAPES[judged.axes]
    noise = np.random.default_rng(11).normal(size=shape)
    means, deviations = np.array([100.0, 1e3, 1e4]), np.array([1.0, 1.0, 10.0])
    x = per_channel(means, judged.axes) + per_channel(deviations, judged.axes) * noise
    x = x.astype(np.float32).astype(np.float64)
    y, _ = _in_single(judged, x)
    apart = np.abs(y - judged.output(x)).max(axis=(0, *range(2, y.ndim)))
    bound = 32 * _UNIT * means / deviations * np.abs(judged.gamma) + 1e-5
    said = ", ".join(f"{m:g} ± {d:g}: {far:.2g}" for m, d, far in zip(means, deviations, apart, strict=True))
    if np.isnan(apart).any() or (apart > bound).any():
        yield Row(
            _GROUP,
            name,
            Status.differs,
            f"off by {said}",
            float(apart.max()),
            "as if the variance were mean(x²) - mean(x)², which loses the digits that both have in common",
            f"{shape[0]} examples of {means[-1]:g} ± {deviations[-1]:g}",
        )
    else:
        yield Row(_GROUP, name, Status.holds, f"off by {said}: rounding of the mean", float(apart.max()))


def _in_single(judged: Judged, x: np.ndarray) -> tuple[np.ndarray, Any]:
    plan = [judged.written(), forward(x, training=True), _evaluation(judged.axes)]
    plan = [{"dtype": "float32", **step} for step in plan]
    _, trained, after = judged.run(plan, {**judged.spec(), "dtype": "float32"})
    return answer(trained)["y"], after["y"] if isinstance(after, dict) else str(after)


def one_nan(judged: Judged) -> Iterator[Row]:
    """A NaN in one channel, which is none of the others' business."""
    name = "NaN in one channel"
    x = batch(judged.axes, 1)
    x[(0, 1, *[0] * (judged.axes - 2))] = np.nan
    y, after = _train_and_evaluate(judged, x)
    others = [0, 2]
    clean = judged.output(np.nan_to_num(x))[:, others]
    if not judged.close(y[:, others], clean):
        yield Row(_GROUP, name, Status.differs, "other channels change", difference(y[:, others], clean))
    elif isinstance(after, np.ndarray) and not np.isfinite(after[:, others]).all():
        yield Row(_GROUP, name, Status.differs, "evaluation is NaN in other channels")
    else:
        state = "NaN" if isinstance(after, np.ndarray) and np.isnan(after[:, 1]).any() else "finite"
        yield Row(_GROUP, name, Status.holds, f"the others are as without it; evaluation of its own is {state} after")
