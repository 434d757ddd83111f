"""The shapes that are taken, channels first and last, and a layer without scale and shift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnbench.check.conventions import CONVENTIONS
from bnbench.check.formulas import right_gradients, right_output
from bnbench.check.inputs import FEATURES, batch, upstream
from bnbench.check.judged import Judged, answer, backward, difference, find_formula, forward, write
from bnbench.check.process import RefusedError
from bnbench.check.properties.output import gradient_as
from bnbench.check.properties.statistics import divisor_row
from bnbench.check.row import Row, Status
from bnbench.check.running import observe

_GROUP = "shapes"
_NAMES = {2: "(N, C)", 3: "three axes", 4: "four axes", 5: "five axes"}
_STEPS = 40


def shapes(judged: Judged) -> Iterator[Row]:
    """Inputs of each number of axes, and of images with channels first and last."""
    for axes in (2, 3, 4, 5):
        yield from _shape(judged, f"{axes}-D", axes, "own")
    axes = judged.with_positions
    for layout in ("first", "last"):
        yield from _shape(judged, f"channels {layout}", axes, layout)


def _shape(judged: Judged, name: str, axes: int, layout: str) -> Iterator[Row]:
    try:
        yield from _judge(judged, name, axes, layout)
    except RefusedError as refusal:
        yield Row(_GROUP, name, Status.refused, str(refusal))


def _judge(judged: Judged, name: str, axes: int, layout: str) -> Iterator[Row]:
    """Output, gradient and running statistics for one shape; the divisor too where it is not the main shape."""
    x, dout = batch(axes, 1), upstream(axes)
    seen = observe(judged, axes, _STEPS, layout)
    if layout == "own":
        judged.accepted.append(axes)
    right, own = right_output(x, judged.gamma, judged.beta, judged.eps), judged.output(x)
    error = difference(seen.training, right)
    as_above = not judged.close(own, right)
    wrong = [] if judged.close(seen.training, own) else ["output"]
    plan = [judged.written(), backward(x, dout, training=True)]
    _, given = judged.run(plan, judged.spec(axes, layout=layout))
    if isinstance(given, dict) and (words := gradient_as(judged, x, dout, given["dx"])) != "":
        if words == judged.gradient_as:
            as_above = True
        else:
            error = max(
                error, difference(given["dx"], right_gradients(x, dout, judged.gamma, judged.beta, judged.eps)[0])
            )
            wrong.append("gradient")
    if judged.blends and (seen.mean is None or seen.var is None):
        wrong.append("running statistics")
    if wrong:
        differ = "differ" if len(wrong) > 1 or wrong[0].endswith("s") else "differs"
        said = f"{' and '.join(wrong)} {differ}; the largest difference is {error:.3g}"
        yield Row(_GROUP, name, Status.differs, said, error, _explained(judged, x, seen.training, wrong))
    else:
        yield Row(_GROUP, name, Status.holds, "as the training step above, which differs" if as_above else "", error)
    divisor = seen.var.quantity if seen.var else ""
    if layout == "own" and axes != judged.axes and divisor in ("N", "N - 1"):
        judged.divisors[axes] = divisor
        like = CONVENTIONS.get(judged.like or "")
        yield divisor_row(divisor, axes, like.divisor(axes) if like else None, like.layer if like else "")


def _explained(judged: Judged, x: np.ndarray, y: np.ndarray, wrong: list[str]) -> str:
    """Which formula gives the output that differs, in words; empty if none that is tried does."""
    found = find_formula(judged, x, y) if "output" in wrong else None
    return f"as if {' and '.join(found[0].departures(x.ndim))}" if found else ""


def affine_off(judged: Judged) -> Iterator[Row]:
    """A layer that is made without scale and shift."""
    x = batch(judged.axes, 1)
    ones, zeros = np.ones(FEATURES), np.zeros(FEATURES)
    steps = [write(judged.gamma, judged.beta), forward(x, training=True)]
    written, given = judged.run(steps, judged.spec(affine=False))
    y = answer(given)["y"]
    expected = (
        judged.formula(x, ones, zeros, judged.eps) if judged.formula else right_output(x, ones, zeros, judged.eps)
    )
    error = difference(y, expected)
    if isinstance(written, dict) and (written["scale"] or written["shift"]):
        kept = " and ".join(role for role in ("scale", "shift") if written[role])
        yield Row(_GROUP, "affine off", Status.differs, f"it still has a {kept}")
    elif judged.close(y, expected):
        yield Row(_GROUP, "affine off", Status.holds, "the normalized input", error)
    else:
        yield Row(_GROUP, "affine off", Status.differs, f"differs by {error:.3g} from the normalized input", error)
