"""What every framework's adapter gives: one layer that takes and gives NumPy arrays whose channels are axis 1."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class NotApplicableError(Exception):
    """What is asked does not exist for this layer or framework; the message says what is missing."""


@dataclass(frozen=True)
class Spec:
    """The layer that is wanted.

    Attributes:
        features: Channels C.
        axes: How many axes its input has.
        layout: Where the channels are: "own" as the framework has it by default, "first" or "last".
        dtype: Of its parameters and statistics.
        affine: Whether it has a scale and a shift; None leaves it to the layer.
        arguments: The user's own arguments of its constructor.
    """

    features: int
    axes: int
    layout: str = "own"
    dtype: str = "float32"
    affine: bool | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gradients:
    """Output and gradients; None where the layer has no such parameter, or it is frozen."""

    y: np.ndarray
    dx: np.ndarray
    dscale: np.ndarray | None
    dshift: np.ndarray | None


class Layer(Protocol):
    """One layer. Inputs are float64 arrays (N, C, …), which the adapter rounds to `dtype` of its call."""

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        """The output, (N, C, …), and the name of its type."""

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        """The output and the gradients of sum(dout * y)."""

    def state(self) -> dict[str, Any]:
        """Everything it keeps, by name."""

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters by the names that `state` gives them."""

    def saved_and_loaded(self) -> Layer:
        """A new layer that got what the framework saves of this one."""

    def freeze(self) -> None:
        """Keep the scale and the shift from being trained, as users of the framework do."""


class Framework(Protocol):
    """A framework's adapter."""

    def versions(self) -> dict[str, str]:
        """The versions of the packages that compute."""

    def make(self, spec: Spec) -> Layer:
        """A new layer."""

    def use_threads(self, threads: int | None) -> bool:
        """Compute with so many threads, or as it was at first; False where only a new process can be told."""


_ROLES = {
    "scale": re.compile(r"(^|_)(weight|gamma|scale|g)$"),
    "shift": re.compile(r"(^|_)(bias|beta|offset|shift|b)$"),
    "mean": re.compile(r"mean|(^|_)mu$"),
    "var": re.compile(r"var|sigma|(^|_)std$"),
}


def roles(names: Iterable[str]) -> dict[str, str]:
    """Which name stands for the scale, the shift, the running mean and variance, as far as names tell."""
    found: dict[str, str] = {}
    for role, pattern in _ROLES.items():
        for name in names:
            if pattern.search(re.split(r"[./]", name)[-1].lower()) and name not in found.values():
                found.setdefault(role, name)
    return found


def parameters_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters by which a class or a function is called; none where they cannot be read, as of one in C.

    Of a class they are its constructor's, for a metaclass may hide them.
    """
    try:
        found = dict(inspect.signature(factory.__init__ if inspect.isclass(factory) else factory).parameters)
    except (TypeError, ValueError):
        return {}
    if inspect.isclass(factory):
        found.pop("self", None)
    return found


def make(factory: Callable[..., Any], features: int | None, arguments: Mapping[str, Any]) -> Any:
    """Call a class or function with the number of channels, where it takes one, and the user's arguments."""
    if features is None:
        return factory(**arguments)
    takes = [p for p in parameters_of(factory).values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    first = takes[0] if takes else None
    if first is None or first.name in arguments:
        return factory(**arguments)
    sizes = re.compile(r"(num_?)?(features?|channels?|dims?|size|units|n|c|planes)$|input_size|hidden|in_")
    if first.default is first.empty or sizes.match(first.name.lower()):
        return factory(features, **arguments)
    return factory(**arguments)


_MODES = {
    "training": True,
    "is_training": True,
    "train": True,
    "use_running_average": False,
    "deterministic": False,
    "inference": False,
}


def mode_argument(function: Callable[..., Any], training: bool) -> dict[str, bool]:
    """The keyword by which a call is told whether it trains; empty where the call takes none."""
    for name in inspect.signature(function).parameters:
        if name in _MODES:
            return {name: training == _MODES[name]}
    return {}


def settings(factory: Callable[..., Any], made: Any, arguments: Mapping[str, Any]) -> dict[str, float]:
    """The momentum and the eps that a layer was told, under the names that it has for them."""
    names = ("momentum", "decay", "decay_rate", "eps", "epsilon", "variance_epsilon")
    found: dict[str, float] = {}
    defaults = {name: p.default for name, p in parameters_of(factory).items()}
    for name in names:
        for value in (arguments.get(name), getattr(made, name, None), defaults.get(name)):
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = float(value)
                break
    return found


def to_last(x: np.ndarray) -> np.ndarray:
    """(N, C, …) as (N, …, C)."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def to_first(x: np.ndarray) -> np.ndarray:
    """(N, …, C) as (N, C, …)."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))
