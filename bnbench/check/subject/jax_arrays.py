"""What the adapters of JAX's frameworks share: the framework, arrays in and out, channels first or last, gradients."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bnbench.check.subject.layer import Gradients, Layer, Spec, roles, to_first, to_last

if threads := os.environ.get("BNBENCH_CHECK_THREADS"):  # before JAX is imported
    multi = "false" if threads == "1" else "true"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={multi} intra_op_parallelism_threads={threads}"
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


class JaxFramework:
    """Makes layers of a package that computes by JAX.

    Args:
        package: Its name.
        layer: The adapter of one layer, made of the factory and what is wanted.
        factory: Makes the package's own layer.
    """

    def __init__(
        self, package: str, layer: Callable[[Callable[..., Any], Spec], Layer], factory: Callable[..., Any]
    ) -> None:
        self._package, self._layer, self._factory = package, layer, factory

    def use_threads(self, threads: int | None) -> bool:
        """JAX is told before it is imported."""
        return threads is None

    def versions(self) -> dict[str, str]:
        return {name: str(importlib.import_module(name).__version__) for name in (self._package, "jax")}

    def make(self, spec: Spec) -> Layer:
        return self._layer(self._factory, spec)


def given(x: np.ndarray, dtype: str, *, first: bool) -> Any:
    """(N, C, …) as JAX's array in the layer's layout."""
    return jnp.asarray(np.array(x) if first else to_last(x), dtype)


def taken(y: Any, *, first: bool) -> np.ndarray:
    """What a layer gave, as (N, C, …) in double precision."""
    values = np.asarray(y.astype(jnp.float64))
    return values if first else to_first(values)


def first_batch(spec: Spec, *, first: bool) -> Any:
    """The batch that a layer is initialized with: every channel has the mean 5 and the variance 4."""
    x = np.where(np.arange(4) % 2, 7.0, 3.0).reshape(4, *[1] * (spec.axes - 1))
    shape = (4, spec.features, *[2] * (spec.axes - 2))
    return given(np.broadcast_to(x, shape), spec.dtype, first=first)


def gradients(
    run: Callable[[Any, Any], tuple[Any, Any]],
    parameters: Any,
    x: np.ndarray,
    dout: np.ndarray,
    dtype: str,
    *,
    first: bool,
    plain: Callable[[Any], Any] = lambda grads: grads,
) -> tuple[Gradients, Any]:
    """The output and the gradients of a layer's call, and what the call gives beside its output.

    Args:
        run: The call, of the parameters and the input.
        parameters: A tree.
        x: The input, shape (N, C, ...).
        dout: Gradients of the output, likewise.
        dtype: In which the input is given.
        first: Whether the layer's channels are first.
        plain: Turns the parameters' gradients into a tree of plain containers.
    """
    y, back, beside = jax.vjp(run, parameters, given(x, dtype, first=first), has_aux=True)
    grads, dx = back(given(dout, str(y.dtype), first=first))
    found = flat(plain(grads))
    named = roles(found)
    of = [found[named[role]].reshape(-1) if role in named else None for role in ("scale", "shift")]
    return Gradients(taken(y, first=first), taken(dx, first=first), *of), beside


def flat(tree: Any) -> dict[str, Any]:
    """The arrays of a tree by their paths, in double precision."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    return {name: np.asarray(leaf, np.float64) for name, leaf in named.items() if hasattr(leaf, "shape")}


def replaced(tree: Any, values: dict[str, np.ndarray]) -> Any:
    """The tree with some of its arrays replaced, by their paths."""

    def one(path: Any, leaf: Any) -> Any:
        value = values.get(jax.tree_util.keystr(path, simple=True, separator="/"))
        return leaf if value is None else jnp.asarray(value, leaf.dtype).reshape(leaf.shape)

    return jax.tree_util.tree_map_with_path(one, tree)
