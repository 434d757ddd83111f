"""State that is saved and loaded, a frozen scale, and the same bits again, with one thread and with two."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnbench.check.formulas import right_gradients
from bnbench.check.inputs import batch, probe, upstream
from bnbench.check.judged import Judged, answer, backward, difference, forward
from bnbench.check.process import RefusedError
from bnbench.check.row import Row, Status
from bnbench.check.running import evaluated_by

_GROUP = "state"


def saved_and_loaded(judged: Judged) -> Iterator[Row]:
    """A new layer with the saved state evaluates, and goes on training, as the old one."""
    name = "saved and loaded"
    evaluation = forward(probe(judged.axes, 1), training=False)
    train = {"do": "train", "batches": [batch(judged.axes, number) for number in (1, 2, 3)]}
    once_more = {"do": "train", "batches": [batch(judged.axes, 4)]}
    plan = [judged.written(), train, evaluation, once_more, evaluation]
    given = [answer(one) for one in judged.run(plan)]
    loaded = judged.run([*plan[:2], {"do": "save and load"}, evaluation, once_more, evaluation])
    if isinstance(loaded[2], RefusedError):
        yield Row(_GROUP, name, Status.refused, str(loaded[2]), required=True)
        return
    before, after = (np.array([one[i]["y"] for i in (-3, -1)]) for one in (given, [answer(one) for one in loaded]))
    if np.array_equal(before, after, equal_nan=True):
        yield Row(_GROUP, name, Status.holds, "evaluates and trains on to the same bits", 0.0)
        return
    error = difference(before, after)
    what = "after loading, evaluation" if not judged.close(after[0], before[0]) else "a step after loading, evaluation"
    said = f"{what} differs by {error:.3g}: not all of the state is saved"
    fresh = answer(judged.run([judged.written(), evaluation])[1])["y"]
    explained = "as if running statistics started anew" if judged.close(after[0], fresh) else ""
    smallest = "train on one batch, save, load, evaluate" if explained else ""
    yield Row(_GROUP, name, Status.differs, said, error, explained, smallest)


def frozen_scale(judged: Judged) -> Iterator[Row]:
    """What a training step is once scale and shift are not to be trained."""
    x, dout = batch(judged.axes, 1), upstream(judged.axes)
    plan = [judged.written(), {"do": "freeze"}, backward(x, dout, training=True)]
    _, frozen, given = judged.run(plan)
    answer(frozen)
    given = answer(given)
    expected = right_gradients(x, dout, judged.gamma, judged.beta, judged.eps)[0]
    unfrozen = answer(judged.run([plan[0], plan[2]])[1])
    inference = evaluated_by(x, (np.zeros(3), np.ones(3)), judged.gamma, judged.beta, judged.eps)
    if judged.close(given["dx"], unfrozen["dx"]) or judged.close(given["dx"], expected):
        yield Row(_GROUP, "frozen scale", Status.holds, "input gradient as before; it still normalizes with the batch")
    elif judged.close(given["y"], inference):
        yield Row(_GROUP, "frozen scale", Status.convention, "a frozen layer works as in evaluation, as Keras' does")
    else:
        error = difference(given["dx"], expected)
        yield Row(_GROUP, "frozen scale", Status.differs, f"the input gradient is off by {error:.3g}", error)


def same_bits_again(judged: Judged) -> Iterator[Row]:
    """The same steps in a new layer."""
    first, second = (_some_steps(judged) for _ in range(2))
    error = difference(first, second)
    if np.array_equal(first, second, equal_nan=True):
        yield Row(_GROUP, "same bits again", Status.holds, "the same input gives the same bits", 0.0)
    else:
        yield Row(_GROUP, "same bits again", Status.differs, f"the same input gives {error:.3g} more or less", error)


def threads(judged: Judged) -> Iterator[Row]:
    """The same steps with one thread and with as many as the framework takes."""
    usual, alone = (_some_steps(judged, large=True, threads=count) for count in (None, 1))
    error = difference(usual, alone)
    if np.array_equal(usual, alone, equal_nan=True):
        yield Row(_GROUP, "threads", Status.holds, "the same bits with one thread", 0.0)
    elif judged.close(usual, alone, tolerance=max(judged.tolerance, 1e-8)):
        yield Row(_GROUP, "threads", Status.holds, f"within {error:.2g} with one thread", error)
    else:
        yield Row(_GROUP, "threads", Status.differs, f"with one thread it differs by {error:.3g}", error)


def _some_steps(judged: Judged, *, large: bool = False, threads: int | None = None) -> np.ndarray:
    """Outputs of a training step and an evaluation."""
    x = batch(judged.axes, 1)
    if large:  # so that there is work for several threads
        x = np.concatenate([batch(judged.axes, number) for number in range(1, 257)])
    plan = [judged.written(), forward(x, training=True), forward(x, training=False)]
    return np.array([answer(one)["y"] for one in judged.run(plan, threads=threads)[1:]])
