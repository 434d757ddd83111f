"""Single and half precision: output, its type, and what evaluation makes of statistics kept in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bnbench.check.inputs import batch, per_channel
from bnbench.check.judged import TOLERANCE, Judged, answer, difference
from bnbench.check.process import RefusedError
from bnbench.check.row import Row, Status
from bnbench.check.running import observe

_GROUP = "precision"
_STEPS = 40
_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def precisions(judged: Judged) -> Iterator[Row]:
    """Inputs of each type."""
    yield _double(judged)
    yield from _divisors_in_single(judged)
    for dtype in ("float32", "float16", "bfloat16"):
        layers = ["float32"] if dtype == "float32" else ["float32", dtype]
        yield _row(judged, dtype, layers)


def _divisors_in_single(judged: Judged) -> Iterator[Row]:
    """The divisors that are others in single precision, for which a framework may have a kernel of its own."""
    if judged.dtype == "float32":
        return
    single = replace(judged, dtype="float32", tolerance=TOLERANCE["float32"])
    for axes, in_double in judged.divisors.items():
        var = observe(single, axes, _STEPS).var
        if var is not None and var.quantity in ("N", "N - 1") and var.quantity != in_double:
            name = f"divisor of the running variance, {axes}-D, float32"
            said = f"{var.quantity}, where it is {in_double} in double precision"
            yield Row("conventions", name, Status.convention, said)


def _double(judged: Judged) -> Row:
    if judged.dtype != "float64":
        return Row(_GROUP, "float64", Status.refused, "it does not compute in double precision")
    if judged.tolerance > 1e-9:
        return Row(_GROUP, "float64", Status.convention, "taken, but computed in single precision")
    return Row(_GROUP, "float64", Status.holds, "right to 9 digits or more")


def _row(judged: Judged, dtype: str, layers: list[str]) -> Row:
    """A training step on inputs of this type, in a layer of the first type that takes them."""
    clean = batch(judged.axes, 1)
    # Deviations are small beside no mean here: how far a rounded mean carries is asked elsewhere.
    x = (clean - per_channel(clean.mean(axis=(0, *range(2, clean.ndim))), clean.ndim)) * 2
    x[:, 1] *= 50
    x = _rounded(x, dtype)
    refusal = ""
    for layer in layers:
        steps = [judged.written(), {"do": "forward", "x": x, "training": True, "dtype": dtype}]
        try:
            given = answer(judged.run(steps, {**judged.spec(), "dtype": layer})[1])
        except RefusedError as error:
            refusal = refusal or str(error)
            continue
        expected = judged.output(x)
        error_ = difference(given["y"], expected)
        said = f"the output is {given['dtype']}" + (f", of a layer in {layer}" if len(layers) > 1 else "")
        if error_ <= 16 * 2.0 ** -_BITS[dtype] * (1 + float(np.abs(expected).max())):
            return Row(_GROUP, dtype, Status.holds, said, error_)
        return Row(_GROUP, dtype, Status.differs, f"{said}; off by {error_:.3g}", error_)
    return Row(_GROUP, dtype, Status.refused, refusal)


def _rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """Values that this type has exactly, and the shorter ones too."""
    return np.round(x * 16) / 16 if dtype != "float32" else x.astype(np.float32).astype(np.float64)
