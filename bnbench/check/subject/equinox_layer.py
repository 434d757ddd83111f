"""Layers of equinox, which normalize over the axis of a `jax.vmap`."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np

from bnbench.check.subject import jax_arrays
from bnbench.check.subject.layer import Gradients, NotApplicableError, Spec, make, settings

_AXIS = "batch"


class EquinoxLayer:
    """A module with its state; its channels are first."""

    def __init__(self, factory: Callable[..., Any], spec: Spec) -> None:
        self._factory, self._spec = factory, spec
        if spec.layout == "last":
            raise NotApplicableError("an equinox layer has its channels first")
        taken = inspect.signature(factory).parameters
        arguments: dict[str, Any] = {}
        if "axis_name" in taken:
            arguments["axis_name"] = _AXIS
        if "dtype" in taken:
            arguments["dtype"] = jnp.dtype(spec.dtype)
        arguments |= spec.arguments
        if spec.affine is not None:
            arguments["channelwise_affine"] = spec.affine
        made = equinox.nn.make_with_state(lambda: make(factory, spec.features, arguments))()
        self.module, self.kept = made
        self.settings = settings(factory, self.module, spec.arguments)

    def _run(self, module: Any, x: Any, training: bool) -> tuple[Any, Any]:
        mode = equinox.nn.inference_mode(module, value=not training)
        y, after = jax.vmap(mode, axis_name=_AXIS, in_axes=(0, None), out_axes=(0, None))(x, self.kept)
        return y, after

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        y, self.kept = self._run(self.module, jax_arrays.given(x, dtype, first=True), training)
        return jax_arrays.taken(y, first=True), str(y.dtype)

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        parameters, rest = equinox.partition(self.module, equinox.is_inexact_array)
        found, self.kept = jax_arrays.gradients(
            lambda parameters, x: self._run(equinox.combine(parameters, rest), x, training),
            parameters,
            x,
            dout,
            dtype,
            first=True,
        )
        return found

    def state(self) -> dict[str, Any]:
        return jax_arrays.flat(equinox.filter(self.module, equinox.is_array))

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self.module = jax_arrays.replaced(self.module, dict(values))

    def saved_and_loaded(self) -> EquinoxLayer:
        file = io.BytesIO()
        equinox.tree_serialise_leaves(file, (self.module, self.kept))
        file.seek(0)
        other = EquinoxLayer(self._factory, self._spec)
        other.module, other.kept = equinox.tree_deserialise_leaves(file, (other.module, other.kept))
        return other

    def freeze(self) -> None:
        raise NotApplicableError("in equinox the optimizer decides what is trained")
