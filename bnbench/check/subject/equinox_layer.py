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
from bnbench.check.subject.layer import Gradients, NotApplicableError, Spec, make, roles, settings

_AXIS = "batch"


class EquinoxFramework:
    """Makes equinox modules that are called as `layer(x, state) -> (y, state)` for each example."""

    def __init__(self, factory: Callable[..., Any]) -> None:
        self._factory = factory

    def use_threads(self, threads: int | None) -> bool:
        return threads is None

    def versions(self) -> dict[str, str]:
        return jax_arrays.versions("equinox")

    def make(self, spec: Spec) -> EquinoxLayer:
        return EquinoxLayer(self._factory, spec)


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
        y, grads, dx, self.kept = jax_arrays.pull_back(
            lambda parameters, x: self._run(equinox.combine(parameters, rest), x, training),
            parameters,
            jax_arrays.given(x, dtype, first=True),
            lambda y: jax_arrays.given(dout, str(y.dtype), first=True),
        )
        found = jax_arrays.flat(grads)
        named = roles(found)
        of = [found[named[role]].reshape(-1) if role in named else None for role in ("scale", "shift")]
        return Gradients(jax_arrays.taken(y, first=True), jax_arrays.taken(dx, first=True), *of)

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
