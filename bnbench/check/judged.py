"""What every property needs: the layer, the shape and precision it is judged in, and what was found out about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from bnbench.check.formulas import Formula, formulas, right_output
from bnbench.check.inputs import BETA, FEATURES, GAMMA
from bnbench.check.process import RefusedError, Subject

TOLERANCE = {"float64": 1e-9, "float32": 3e-5}
"""The largest difference that counts as none, relative to the largest value (and to 1, if that is larger)."""

_USUAL_EPS = (1e-5, 1e-3, 1e-6, 1e-4, 1e-2, 1e-8, 2e-5, 1e-7, 1e-12)


Step = dict[str, Any]
"""One thing that is done with a layer."""


def forward(x: np.ndarray, training: bool) -> Step:
    """The step of a forward pass."""
    return {"do": "forward", "x": x, "training": training}


def backward(x: np.ndarray, dout: np.ndarray, training: bool) -> Step:
    """The step of a forward pass and the gradients of sum(dout * y)."""
    return {"do": "gradients", "x": x, "dout": dout, "training": training}


def write(scale: np.ndarray, shift: np.ndarray) -> Step:
    """The step that sets scale and shift, where the layer has them."""
    return {"do": "write", "scale": scale, "shift": shift}


@dataclass
class Judged:
    """The layer under judgment.

    Attributes:
        subject: The process that has it.
        like: The framework whose conventions are asked for, or None.
        axes: The number of axes of the inputs that it is mainly judged with.
        dtype: The precision that it is mainly judged in.
        tolerance: What counts as no difference there.
        has_scale, has_shift: Whether it has these parameters.
        formula: What its training step computes; None if no formula gives that.
        eps: The eps of that formula.
        gradient_as: In words, as what the gradient to the input differs; empty where it does not.
        weight: Weight of the new batch in the running statistics; None where it is not known.
        blends: Whether it is known how its running statistics come about.
        divisors: Of the running variance, by the number of axes.
        accepted: The numbers of axes of the inputs that it was found to take.
    """

    subject: Subject
    like: str | None
    axes: int = 2
    dtype: str = "float64"
    tolerance: float = TOLERANCE["float64"]
    has_scale: bool = True
    has_shift: bool = True
    formula: Formula | None = None
    eps: float = 1e-5
    gradient_as: str = ""
    weight: float | None = None
    blends: bool = False
    divisors: dict[int, str] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)

    @property
    def with_positions(self) -> int:
        """The number of axes of inputs with positions that it takes; images where it is known to take none."""
        return next((axes for axes in (4, 3, 5) if axes in self.accepted), 4)

    def output(self, x: np.ndarray) -> np.ndarray:
        """What a training step gives by the layer's own formula: batch norm's, or one that was said to differ."""
        if self.formula is not None and (self.formula.over is None or x.ndim == self.axes):
            with np.errstate(all="ignore"):
                return self.formula(x, self.gamma, self.beta, self.eps)
        return right_output(x, self.gamma, self.beta, self.eps)

    @property
    def gamma(self) -> np.ndarray:
        """The scale that is written into the layer; ones where it has none."""
        return GAMMA if self.has_scale else np.ones(FEATURES)

    @property
    def beta(self) -> np.ndarray:
        """The shift that is written into the layer; zeros where it has none."""
        return BETA if self.has_shift else np.zeros(FEATURES)

    def spec(self, axes: int | None = None, *, features: int = FEATURES, **other: Any) -> dict[str, Any]:
        """The layer that is wanted, mainly the one that everything is judged with."""
        return {"features": features, "axes": axes or self.axes, "dtype": self.dtype, **other}

    def run(
        self, steps: Sequence[Step], spec: Mapping[str, Any] | None = None, threads: int | None = None
    ) -> list[Any]:
        """Do the steps with a new layer; a step without a dtype is one in the main precision."""
        return self.subject.run(spec or self.spec(), [{"dtype": self.dtype, **step} for step in steps], threads)

    def written(self) -> Step:
        """The step that sets the scale and the shift."""
        return write(self.gamma, self.beta)

    def close(self, a: np.ndarray, b: np.ndarray, tolerance: float | None = None) -> bool:
        """Whether two arrays agree up to the tolerance."""
        return difference(a, b) <= (tolerance or self.tolerance) * (1 + float(np.abs(b).max(initial=0)))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; infinite where one has a NaN or another shape."""
    if a.shape != b.shape:
        return float("inf")
    apart = np.abs(a - b)
    return float("inf") if np.isnan(apart).any() else float(apart.max(initial=0))


def answer(value: Any) -> Any:
    """A step's answer.

    Raises:
        RefusedError: If the step was refused.
    """
    if isinstance(value, RefusedError):
        raise value
    return value


@cache
def _ordered(ndim: int) -> tuple[Formula, ...]:
    return tuple(formulas(ndim))


def find_formula(judged: Judged, x: np.ndarray, y: np.ndarray) -> tuple[Formula, float] | None:
    """The formula, with its eps, that gives the output y for x; that with the fewest departures."""
    told = [value for name, value in judged.subject.settings.items() if "eps" in name]
    candidates = [*dict.fromkeys([*told, *_solved_eps(judged, x, y), *_USUAL_EPS])]
    with np.errstate(all="ignore"):
        for formula in _ordered(x.ndim):
            for eps in candidates if formula.denominator != "none" else candidates[:1]:
                if judged.close(y, formula(x, judged.gamma, judged.beta, eps)):
                    return formula, eps
    return None


def _solved_eps(judged: Judged, x: np.ndarray, y: np.ndarray) -> list[float]:
    """The eps, inside the root and outside it, that the channel of the smallest deviation shows."""
    values, outputs = x[:, 1].ravel(), y[:, 1].ravel()
    slope = np.polyfit(values, outputs, 1)[0] if np.isfinite(outputs).all() else 0.0
    if not slope:
        return []
    divisor = abs(judged.gamma[1] / slope)
    solved = [divisor**2 - values.var(), divisor - values.std()]
    return [float(f"{eps:.6g}") for eps in solved if eps > 0]
