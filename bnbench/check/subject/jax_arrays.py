"""What the adapters of JAX's frameworks share: arrays in and out, channels first or last, and gradients."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bnbench.check.subject.layer import Spec, to_first, to_last

if threads := os.environ.get("BNBENCH_CHECK_THREADS"):  # before JAX is imported
    multi = "false" if threads == "1" else "true"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={multi} intra_op_parallelism_threads={threads}"
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


def versions(*packages: str) -> dict[str, str]:
    """The versions of these packages and of JAX."""
    return {name: str(importlib.import_module(name).__version__) for name in (*packages, "jax")}


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


def pull_back(run: Callable[..., Any], parameters: Any, x: Any, dout: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Output, gradients of the parameters, gradient of the input, and what `run` gives beside its output."""
    y, back, beside = jax.vjp(run, parameters, x, has_aux=True)
    grads, dx = back(dout(y))
    return y, grads, dx, beside


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
