"""Plain functions on NumPy arrays, in the two forms in which tutorials write them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bnbench.check.subject.layer import Gradients, NotApplicableError, Spec, to_first, to_last


class FunctionFramework:
    """Makes layers of a function.

    Args:
        function: `(x, state, training) -> (y, state)`, where `state` is a dict that starts with `gamma` and `beta`; or
            `(x, gamma, beta, bn_param) -> (y, cache)`, where `bn_param` is a dict that starts with `mode` and the
            user's arguments.
        backward: `(dout, state or cache) -> (dx, dgamma, dbeta)`, or None.
    """

    def __init__(self, function: Callable[..., Any], backward: Callable[..., Any] | None) -> None:
        self._function, self._backward = function, backward

    def use_threads(self, threads: int | None) -> bool:
        return threads is None

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def make(self, spec: Spec) -> FunctionLayer:
        if spec.affine is False:
            raise NotApplicableError("a function is always given a scale and a shift")
        return FunctionLayer(self._function, self._backward, spec)


class FunctionLayer:
    """The function with the state that it was last given back."""

    def __init__(self, function: Callable[..., Any], backward: Callable[..., Any] | None, spec: Spec) -> None:
        self._function, self._backward, self._spec = function, backward, spec
        self._takes_parameters = len(inspect.signature(function).parameters) == 4
        ones, zeros = np.ones(spec.features, spec.dtype), np.zeros(spec.features, spec.dtype)
        self._parameters: dict[str, Any] = {"gamma": ones, "beta": zeros}
        self._state: Any = {**spec.arguments}
        if not self._takes_parameters:
            self._state |= self._parameters
        self.settings = {name: value for name, value in spec.arguments.items() if isinstance(value, int | float)}

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        y, _ = self._call(x, training, dtype)
        return self._from_layout(np.asarray(y)).astype(np.float64), str(np.asarray(y).dtype)

    def _call(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, Any]:
        if dtype == "bfloat16":
            raise NotApplicableError("NumPy has no bfloat16")
        given = self._to_layout(x).astype(dtype)
        before = given.copy()
        if self._takes_parameters:
            self._state["mode"] = "train" if training else "test"
            y, cache = self._function(given, self._parameters["gamma"], self._parameters["beta"], self._state)
        else:
            y, self._state = self._function(given, self._state, training)
            cache = self._state
        if not np.array_equal(given, before, equal_nan=True):
            raise RuntimeError("it wrote into its input")
        return y, cache

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        if self._backward is None:
            raise NotApplicableError("a function has no gradient; name it by --backward")
        y, cache = self._call(x, training, dtype)
        dx, dscale, dshift = self._backward(self._to_layout(dout).astype(y.dtype), cache)
        first = self._from_layout
        return Gradients(first(y), first(np.asarray(dx)), np.asarray(dscale), np.asarray(dshift))

    def state(self) -> dict[str, Any]:
        kept = {**self._parameters, **self._state} if isinstance(self._state, dict) else self._parameters
        return {name: np.asarray(value, np.float64) for name, value in kept.items() if _is_array(value)}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        for name, value in values.items():
            holder = self._parameters if self._takes_parameters else self._state
            holder[name] = np.asarray(value, self._spec.dtype)

    def saved_and_loaded(self) -> FunctionLayer:
        other = FunctionLayer(self._function, self._backward, self._spec)
        other._state, other._parameters = copy.deepcopy(self._state), copy.deepcopy(self._parameters)
        return other

    def freeze(self) -> None:
        raise NotApplicableError("a function trains nothing by itself")

    def _to_layout(self, x: np.ndarray) -> np.ndarray:
        return to_last(x) if self._spec.layout == "last" else np.array(x)

    def _from_layout(self, y: np.ndarray) -> np.ndarray:
        return to_first(y) if self._spec.layout == "last" else y


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"
