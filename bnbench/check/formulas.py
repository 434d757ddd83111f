"""What a training step may have computed: batch norm's formula, and the ways in which others depart from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from bnbench.reference import (
    batchnorm_backward,
    batchnorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    torch_state,
)

_AXES = "NCDHW"

DENOMINATORS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "inside": lambda v, eps: np.sqrt(v + eps),
    "outside": lambda v, eps: np.sqrt(v) + eps,
    "none": lambda v, eps: np.sqrt(v),
    "variance": lambda v, eps: v + eps,
    "largest": lambda v, eps: np.sqrt(np.where(v.real > eps, v, eps)),
}
"""By what the deviations are divided, from the variance and eps."""

_DENOMINATOR_WORDS = {
    "outside": "eps is added outside the root",
    "none": "no eps is added",
    "variance": "it divides by the variance, without the root",
    "largest": "the variance is cut off at eps from below",
}

_AFFINES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "scale, then shift": lambda h, gamma, beta: gamma * h + beta,
    "shift, then scale": lambda h, gamma, beta: gamma * (h + beta),
    "shift alone": lambda h, gamma, beta: h + beta,
    "scale alone": lambda h, gamma, beta: gamma * h,
    "neither": lambda h, gamma, beta: h,
    "swapped": lambda h, gamma, beta: beta * h + gamma,
    "one plus scale": lambda h, gamma, beta: (1 + gamma) * h + beta,
}

_AFFINE_WORDS = {
    "shift, then scale": "the shift is added before the scale multiplies: gamma * (x_hat + beta)",
    "shift alone": "the scale has no effect",
    "scale alone": "the shift has no effect",
    "neither": "neither scale nor shift has an effect",
    "swapped": "scale and shift are swapped",
    "one plus scale": "it multiplies by 1 + scale",
}


@dataclass(frozen=True)
class Formula:
    """A training step's output as a function of its input; without arguments, batch norm's own.

    Attributes:
        over: The axes of (N, C, …) whose statistics are taken; None for all but the channels.
        centred: Whether the mean is subtracted.
        ddof: The variance is divided by the number of values minus this.
        denominator: One of `DENOMINATORS`.
        affine: One of the orders of scale and shift.
        constant_mean, constant_var: Whether the gradient takes the batch's mean or variance for a constant.
        source: "batch", or "initial" where the input is normalized with the mean 0 and the variance 1.
    """

    over: tuple[int, ...] | None = None
    centred: bool = True
    ddof: int = 0
    denominator: str = "inside"
    affine: str = "scale, then shift"
    constant_mean: bool = False
    constant_var: bool = False
    source: str = "batch"

    def __call__(self, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
        """The output for x, (N, C, …); x, gamma and beta may be complex, for derivatives by a complex step."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        y: np.ndarray = _AFFINES[self.affine](self.normalized(x, eps), gamma.reshape(shape), beta.reshape(shape))
        return y

    def normalized(self, x: np.ndarray, eps: float) -> np.ndarray:
        """The output before scale and shift."""
        if self.source == "initial":
            return np.asarray(x / np.sqrt(1 + eps))
        over = self.axes(x.ndim)
        mean = x.mean(over, keepdims=True)
        if self.constant_mean:
            mean = mean.real
        count = int(np.prod([x.shape[axis] for axis in over]))
        variance = ((x - mean) ** 2).sum(over, keepdims=True) / max(count - self.ddof, 1)
        if self.constant_var:
            variance = variance.real
        divisor = DENOMINATORS[self.denominator](variance, eps)
        return np.asarray((x - mean if self.centred else x) / divisor)

    def axes(self, ndim: int) -> tuple[int, ...]:
        """The axes that its statistics are taken over."""
        return (0, *range(2, ndim)) if self.over is None else self.over

    def departures(self, ndim: int) -> list[str]:
        """In which ways it is not batch norm, in words."""
        words = []
        if self.source == "initial":
            words.append("it normalizes with the statistics it keeps, not with the batch's")
        if self.over is not None:
            words.append(f"its statistics are over axes {self.over} of {_names(ndim)}{_called(self.over, ndim)}")
        if not self.centred:
            words.append("the mean is not subtracted")
        if self.ddof:
            words.append("the batch is normalized with divisor N - 1")
        words += [text for key, text in _DENOMINATOR_WORDS.items() if self.denominator == key]
        words += [text for key, text in _AFFINE_WORDS.items() if self.affine == key]
        return words


def _names(ndim: int) -> str:
    return f"({', '.join(_AXES[:2] + _AXES[7 - ndim :] if ndim > 2 else _AXES[:2])})"


def _called(over: tuple[int, ...], ndim: int) -> str:
    every = tuple(range(ndim))
    known = {
        (0,): ", so each position by itself" if ndim > 2 else "",
        every[2:]: ", as instance norm",
        every[1:]: ", as layer norm",
        every: ", all channels together",
        every[:-1]: ", all but the last, as if channels were last",
    }
    return known.get(over, "")


def formulas(ndim: int) -> Iterator[Formula]:
    """Batch norm's formula and its departures, those with the fewest first."""
    right = Formula()
    subsets = [axes for size in range(1, ndim + 1) for axes in combinations(range(ndim), size)]
    overs = [None, *(axes for axes in subsets if axes != right.axes(ndim))]
    every = [
        Formula(over, centred, ddof, denominator, affine)
        for over, centred, ddof, denominator, affine in product(overs, (True, False), (0, 1), DENOMINATORS, _AFFINES)
    ]
    every += [replace(right, source="initial", affine=affine) for affine in _AFFINES]
    return iter(sorted(every, key=lambda one: len(one.departures(ndim))))


def right_output(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    """The training output of `bnbench.reference` for (N, C) or (N, C, …)."""
    if x.ndim == 2:
        return batchnorm_forward(x, gamma, beta, torch_state(len(gamma), eps=eps))[0]
    images = x.reshape(*x.shape[:2], -1, 1)
    return spatial_batchnorm_forward(images, gamma, beta, torch_state(len(gamma), eps=eps))[0].reshape(x.shape)


def right_gradients(
    x: np.ndarray, dout: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dgamma and dbeta of `bnbench.reference` for (N, C) or (N, C, …)."""
    state = torch_state(len(gamma), eps=eps)
    if x.ndim == 2:
        return batchnorm_backward(dout, batchnorm_forward(x, gamma, beta, state)[1])
    shape = (*x.shape[:2], -1, 1)
    cache = spatial_batchnorm_forward(x.reshape(shape), gamma, beta, state)[1]
    dx, dgamma, dbeta = spatial_batchnorm_backward(dout.reshape(shape), cache)
    return dx.reshape(x.shape), dgamma, dbeta


def gradient(
    formula: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    values: tuple[np.ndarray, np.ndarray, np.ndarray],
    dout: np.ndarray,
    which: int,
) -> np.ndarray:
    """The gradient of sum(dout * formula(x, gamma, beta)) with respect to one of them, by complex steps: exact."""
    step = 1e-30
    result = np.zeros(values[which].shape)
    for index in np.ndindex(result.shape):
        moved = [value.astype(complex) for value in values]
        moved[which][index] += 1j * step
        result[index] = (dout * formula(*moved).imag).sum() / step
    return result
