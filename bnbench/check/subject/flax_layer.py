"""Layers of flax: modules of `flax.linen`, and of `flax.nnx`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from bnbench.check.subject import jax_arrays
from bnbench.check.subject.layer import (
    Gradients,
    NotApplicableError,
    Spec,
    make,
    mode_argument,
    parameters_of,
    settings,
)


def _arguments(factory: Callable[..., Any], spec: Spec) -> tuple[dict[str, Any], bool]:
    """The constructor's arguments, and whether channels are first."""
    taken = parameters_of(factory)
    precise: dict[str, Any] = {name: jnp.dtype(spec.dtype) for name in ("dtype", "param_dtype") if name in taken}
    arguments: dict[str, Any] = {**precise, **spec.arguments}
    if spec.affine is not None:
        arguments |= {"use_scale": spec.affine, "use_bias": spec.affine}
    if spec.layout == "first":
        arguments["axis"] = 1
    return arguments, arguments.get("axis") == 1


class LinenLayer:
    """A module of flax.linen with its variables."""

    def __init__(self, factory: Callable[..., Any], spec: Spec) -> None:
        self._factory, self._spec = factory, spec
        arguments, self._first = _arguments(factory, spec)
        self.module = make(factory, None, arguments)
        self.settings = settings(factory, self.module, spec.arguments)
        x = jax_arrays.first_batch(spec, first=self._first)
        variables = dict(self.module.init(jax.random.key(0), x, **self._mode(True)))
        self.parameters = variables.pop("params", {})
        self.kept = variables

    def _mode(self, training: bool) -> dict[str, bool]:
        return mode_argument(type(self.module).__call__, training)

    def _run(self, parameters: Any, x: Any, training: bool) -> tuple[Any, Any]:
        mutable = [*self.kept] if training else []
        y, after = self.module.apply({"params": parameters, **self.kept}, x, **self._mode(training), mutable=mutable)
        return y, after

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        y, after = self._run(self.parameters, jax_arrays.given(x, dtype, first=self._first), training)
        self.kept |= after
        return jax_arrays.taken(y, first=self._first), str(y.dtype)

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        found, after = jax_arrays.gradients(
            lambda parameters, x: self._run(parameters, x, training), self.parameters, x, dout, dtype, first=self._first
        )
        self.kept |= after
        return found

    def state(self) -> dict[str, Any]:
        return {**jax_arrays.flat(self.parameters), **jax_arrays.flat(self.kept)}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        self.parameters = jax_arrays.replaced(self.parameters, dict(values))

    def saved_and_loaded(self) -> LinenLayer:
        other = LinenLayer(self._factory, self._spec)
        stored = flax.serialization.to_bytes({"params": self.parameters, **self.kept})
        loaded = flax.serialization.from_bytes({"params": other.parameters, **other.kept}, stored)
        other.parameters = loaded.pop("params")
        other.kept = loaded
        return other

    def freeze(self) -> None:
        raise NotApplicableError("in flax the optimizer decides what is trained")


_SAVED = nnx.Any(nnx.Param, nnx.BatchStat)


class NnxLayer:
    """A module of flax.nnx."""

    def __init__(self, factory: Callable[..., Any], spec: Spec) -> None:
        self._factory, self._spec = factory, spec
        arguments, self._first = _arguments(factory, spec)
        if "rngs" in parameters_of(factory):
            arguments["rngs"] = nnx.Rngs(0)
        self.module = make(factory, spec.features, arguments)
        self.settings = settings(factory, self.module, spec.arguments)

    def _call(self, module: Any, x: Any, training: bool) -> Any:
        mode = mode_argument(type(module).__call__, training)
        if not mode:
            (module.train if training else module.eval)()
        return module(x, **mode)

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        y = self._call(self.module, jax_arrays.given(x, dtype, first=self._first), training)
        return jax_arrays.taken(y, first=self._first), str(y.dtype)

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        graph, parameters, kept = nnx.split(self.module, nnx.Param, ...)

        def run(parameters: Any, x: Any) -> tuple[Any, Any]:
            module = nnx.merge(graph, parameters, kept)
            y = self._call(module, x, training)
            return y, nnx.split(module, nnx.Param, ...)[2]

        found, after = jax_arrays.gradients(run, parameters, x, dout, dtype, first=self._first, plain=nnx.to_pure_dict)
        nnx.update(self.module, after)
        return found

    def state(self) -> dict[str, Any]:
        return jax_arrays.flat(nnx.to_pure_dict(nnx.state(self.module)))

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        state = nnx.state(self.module)
        nnx.replace_by_pure_dict(state, jax_arrays.replaced(nnx.to_pure_dict(state), dict(values)))
        nnx.update(self.module, state)

    def saved_and_loaded(self) -> NnxLayer:
        other = NnxLayer(self._factory, self._spec)
        stored = flax.serialization.msgpack_serialize(
            jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(self.module, _SAVED)))
        )
        state = nnx.state(other.module, _SAVED)
        # What is restored lies in memory that may not be written.
        restored = jax.tree.map(jnp.array, flax.serialization.msgpack_restore(stored))
        nnx.replace_by_pure_dict(state, restored)
        nnx.update(other.module, state)
        return other

    def freeze(self) -> None:
        raise NotApplicableError("in flax the optimizer decides what is trained")
