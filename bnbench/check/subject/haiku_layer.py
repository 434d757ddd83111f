"""Layers of haiku, made and called inside `hk.transform_with_state`."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping
from typing import Any

import haiku
import numpy as np

from bnbench.check.subject import jax_arrays
from bnbench.check.subject.layer import Gradients, NotApplicableError, Spec, make, mode_argument, settings

_REQUIRED = {"create_scale": True, "create_offset": True, "decay_rate": 0.9}
"""What haiku's own BatchNorm has no default for."""


class HaikuLayer:
    """A transformed module with its parameters and its state."""

    def __init__(self, factory: Callable[..., Any], spec: Spec) -> None:
        self._factory, self._spec = factory, spec
        taken = inspect.signature(factory).parameters
        arguments: dict[str, Any] = {name: value for name, value in _REQUIRED.items() if name in taken}
        arguments |= spec.arguments
        if spec.affine is not None:
            arguments |= {"create_scale": spec.affine, "create_offset": spec.affine}
        self._first = spec.layout == "first"
        if self._first:
            arguments["data_format"] = "channels_first"

        def call(x: Any, training: bool) -> Any:
            layer = make(factory, None, arguments)
            return layer(x, **mode_argument(layer.__call__, training))

        self._apply = haiku.transform_with_state(call).apply
        self.settings = settings(factory, None, arguments)
        x = jax_arrays.first_batch(spec, first=self._first)
        self.parameters, self.kept = haiku.transform_with_state(call).init(None, x, True)

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        given = jax_arrays.given(x, dtype, first=self._first)
        y, self.kept = self._apply(self.parameters, self.kept, None, given, training)
        return jax_arrays.taken(y, first=self._first), str(y.dtype)

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        found, self.kept = jax_arrays.gradients(
            lambda parameters, x: self._apply(parameters, self.kept, None, x, training),
            self.parameters,
            x,
            dout,
            dtype,
            first=self._first,
        )
        return found

    def state(self) -> dict[str, Any]:
        visible = {name: value for name, value in jax_arrays.flat(self.kept).items() if name.endswith("average")}
        named = {name.removesuffix("_ema/average"): value for name, value in visible.items()}
        return {**jax_arrays.flat(self.parameters), **named}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self.parameters = jax_arrays.replaced(self.parameters, dict(values))

    def saved_and_loaded(self) -> HaikuLayer:
        other = HaikuLayer(self._factory, self._spec)
        other.parameters = jax_arrays.replaced(other.parameters, _through_file(self.parameters))
        other.kept = jax_arrays.replaced(other.kept, _through_file(self.kept))
        return other

    def freeze(self) -> None:
        raise NotApplicableError("in haiku the optimizer decides what is trained")


def _through_file(tree: Any) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    arrays: dict[str, Any] = jax_arrays.flat(tree)
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}
