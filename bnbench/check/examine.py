"""Puts a layer through all properties, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bnbench.check.inputs import FEATURES, batch
from bnbench.check.judged import TOLERANCE, Judged, answer, forward
from bnbench.check.process import DiedError, RefusedError, Subject, Target
from bnbench.check.properties import edges, output, precision, shapes, state, statistics
from bnbench.check.row import Report, Row, Status
from bnbench.config import ConfigError

_PROPERTIES: list[tuple[str, str, Callable[[Judged], Iterator[Row]]]] = [
    ("training step", "training output", output.training_output),
    ("training step", "gradients", output.gradients),
    ("running statistics", "running statistics", statistics.running_statistics),
    ("evaluation", "gradient in evaluation", statistics.evaluation_gradient),
    ("shapes", "shapes", shapes.shapes),
    ("shapes", "affine off", shapes.affine_off),
    ("edge inputs", "one value a channel", edges.one_example),
    ("edge inputs", "one example with positions", edges.one_example_with_positions),
    ("edge inputs", "empty batch", edges.empty_batch),
    ("edge inputs", "constant feature, float32", edges.constant_feature),
    ("edge inputs", "large mean, float32", edges.large_mean),
    ("edge inputs", "NaN in one channel", edges.one_nan),
    ("precision", "precision", precision.precisions),
    ("state", "saved and loaded", state.saved_and_loaded),
    ("state", "frozen scale", state.frozen_scale),
    ("state", "same bits again", state.same_bits_again),
    ("state", "threads", state.threads),
]
"""Each with the group and the name of the row that a crash or a refusal of it becomes."""

_GROUPS = ("process", "training step", "running statistics", "evaluation", "conventions")


def examine(target: Target, like: str | None = None, on_row: Callable[[Row], None] = lambda row: None) -> Report:
    """Put an implementation through all properties.

    Args:
        target: What is checked.
        like: A framework of `CONVENTIONS`, whose conventions are then asked for.
        on_row: Called with each row as it is found.

    Raises:
        ConfigError: If there is nothing to check under that name, or no layer can be made of it; one line.
    """
    rows: list[Row] = []

    def found(row: Row) -> None:
        rows.append(row)
        on_row(row)

    with Subject(target) as subject, np.errstate(all="ignore"):
        judged = Judged(subject, like)
        try:
            subject.start()
            _settle(judged)
        except DiedError as death:
            found(Row("process", "process", Status.differs, f"when it was imported or first called, {death}"))
            return _report(target, subject, like, rows)
        for group, name, of in _PROPERTIES:
            try:
                for row in of(judged):
                    found(row)
            except RefusedError as refusal:
                required = name in ("training output", "running statistics")
                found(Row(group, name, Status.refused, str(refusal), required=required))
            except DiedError as death:
                found(Row(group, name, Status.differs, str(death)))
        return _report(target, subject, like, rows)


def _report(target: Target, subject: Subject, like: str | None, rows: list[Row]) -> Report:
    ordered = sorted(rows, key=lambda row: _GROUPS.index(row.group) if row.group in _GROUPS else len(_GROUPS))
    framework = subject.framework or target.framework or "unknown"
    return Report(target.name, framework, subject.versions, dict(target.arguments), like, ordered)


def _settle(judged: Judged) -> None:
    """Find the number of axes and the precision that the layer takes, and whether it has a scale and a shift.

    Raises:
        ConfigError: If it takes none; one line.
        DiedError: If it crashed or hung with all of them.
    """
    refusals: dict[str, str] = {}
    death: DiedError | None = None
    for dtype in ("float64", "float32"):
        for axes in (2, 4, 3, 5):
            judged.dtype, judged.axes, judged.tolerance = dtype, axes, TOLERANCE[dtype]
            judged.has_scale = judged.has_shift = True
            try:
                written, given = judged.run([judged.written(), forward(batch(axes, 1), training=True)])
                got = answer(given)
                written = answer(written)
            except RefusedError as refusal:
                refusals.setdefault(str(refusal), f"{axes}-D")
                continue
            except DiedError as error:
                if death is not None or "no answer" in str(error):
                    raise
                death = error
                continue
            judged.has_scale, judged.has_shift = written["scale"], written["shift"]
            if got["dtype"] != dtype:
                judged.dtype, judged.tolerance = "float32", TOLERANCE["float32"]
            return
    if death is not None:
        raise death
    message, shape = next(iter(refusals.items()))
    raise ConfigError(
        f"check {judged.subject.target.name} refuses a training step on inputs of {FEATURES} channels and 2 to 5 "
        f"axes; on {shape}: {message}; give arguments of its constructor as NAME=VALUE"
    )
