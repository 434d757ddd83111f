"""Layers of Keras 3 on any backend, and of Keras 2 (`tf_keras`) on TensorFlow."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bnbench.check.subject.layer import Gradients, Spec, make, mode_argument, settings, to_first, to_last


class KerasFramework:
    """Makes Keras layers.

    Args:
        factory: The class, or a function that makes a layer.
        package: "keras" or "tf_keras".
    """

    def __init__(self, factory: Callable[..., Any], package: str) -> None:
        self._factory = factory
        self._keras = importlib.import_module(package)
        self.backend = "tensorflow" if package == "tf_keras" else str(self._keras.backend.backend())
        self._use_threads(os.environ.get("BNBENCH_CHECK_THREADS"))
        if self.backend == "jax":
            importlib.import_module("jax").config.update("jax_enable_x64", True)

    def _use_threads(self, threads: str | None) -> None:
        if threads and self.backend == "torch":
            importlib.import_module("torch").set_num_threads(int(threads))
        if threads and self.backend == "tensorflow":
            importlib.import_module("tensorflow").config.threading.set_intra_op_parallelism_threads(int(threads))

    def use_threads(self, threads: int | None) -> bool:
        return threads is None

    def versions(self) -> dict[str, str]:
        packages = [self._keras.__name__, self.backend]
        return {name: str(importlib.import_module(name).__version__) for name in packages}

    def make(self, spec: Spec) -> KerasLayer:
        return KerasLayer(self._factory, spec, self._keras, self.backend)


class KerasLayer:
    """A layer, built for its input; channels are last unless it is asked for `axis=1`."""

    def __init__(self, factory: Callable[..., Any], spec: Spec, keras: Any, backend: str) -> None:
        self._factory, self._spec, self._keras, self._backend = factory, spec, keras, backend
        arguments = {"dtype": spec.dtype, **spec.arguments}
        if spec.affine is not None:
            arguments |= {"center": spec.affine, "scale": spec.affine}
        self._first = spec.layout == "first" or spec.arguments.get("axis") == 1
        if spec.layout == "first":
            arguments["axis"] = 1
        self.layer = make(factory, None, arguments)
        self.settings = settings(factory, self.layer, spec.arguments)
        places = [4] * (spec.axes - 2)
        self._shape = (None, spec.features, *places) if self._first else (None, *places, spec.features)
        self.layer.build(self._shape)

    def _given(self, x: np.ndarray, dtype: str) -> Any:
        x = np.array(x) if self._first else to_last(x)
        if self._backend == "tensorflow":
            tensorflow = importlib.import_module("tensorflow")
            return tensorflow.cast(tensorflow.constant(x), dtype)
        if self._backend == "torch":
            torch = importlib.import_module("torch")
            return torch.from_numpy(x).to(getattr(torch, dtype))
        return importlib.import_module("jax.numpy").asarray(x, dtype)

    def _numpy(self, value: Any) -> np.ndarray:
        """A value of the backend, in double precision, in its own layout."""
        if self._backend == "torch":
            value = value.detach().to(importlib.import_module("torch").float64).cpu()
        return np.asarray(value).astype(np.float64)

    def _output(self, value: Any) -> np.ndarray:
        return self._numpy(value) if self._first else to_first(self._numpy(value))

    def _call(self, x: Any, training: bool) -> Any:
        return self.layer(x, **(mode_argument(self.layer.call, training) or {"training": training}))

    def forward(self, x: np.ndarray, training: bool, dtype: str) -> tuple[np.ndarray, str]:
        y = self._call(self._given(x, dtype), training)
        return self._output(y), str(getattr(y.dtype, "name", y.dtype)).removeprefix("torch.")

    def gradients(self, x: np.ndarray, dout: np.ndarray, training: bool, dtype: str) -> Gradients:
        given = self._given(x, dtype)
        weights = {name: getattr(self.layer, name, None) for name in ("gamma", "beta")}
        weights = {name: weight for name, weight in weights.items() if weight is not None}
        differentiate = {"tensorflow": self._by_tape, "torch": self._by_torch, "jax": self._by_jax}[self._backend]
        y, dx, grads = differentiate(given, dout, training, weights)
        found = {name: None if grad is None else self._numpy(grad) for name, grad in grads.items()}
        return Gradients(self._output(y), self._output(dx), found.get("gamma"), found.get("beta"))

    def _like(self, dout: np.ndarray, y: Any) -> Any:
        return self._given(dout, str(getattr(y.dtype, "name", y.dtype)).removeprefix("torch."))

    def _by_tape(self, x: Any, dout: np.ndarray, training: bool, weights: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        tensorflow = importlib.import_module("tensorflow")
        sources = [getattr(weight, "value", weight) for weight in weights.values()]
        sources = [source() if callable(source) else source for source in sources]
        sources = [*weights.values()] if self._keras.__name__ == "tf_keras" else sources
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            y = self._call(x, training)
        dx, *grads = tape.gradient(y, [x, *sources], output_gradients=self._like(dout, y))
        return y, dx, dict(zip(weights, grads, strict=True))

    def _by_torch(self, x: Any, dout: np.ndarray, training: bool, weights: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        torch = importlib.import_module("torch")
        x.requires_grad_()
        # The weights of a frozen layer take no gradient.
        trained = {name: weight.value for name, weight in weights.items() if weight.value.requires_grad}
        y = self._call(x, training)
        dx, *grads = torch.autograd.grad(y, [x, *trained.values()], self._like(dout, y), allow_unused=True)
        return y, dx, dict(zip(trained, grads, strict=True))

    def _by_jax(self, x: Any, dout: np.ndarray, training: bool, weights: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        jax = importlib.import_module("jax")
        mode = mode_argument(self.layer.call, training) or {"training": training}
        names = [next((n for n, w in weights.items() if w is v), "") for v in self.layer.trainable_variables]
        kept = [variable.value for variable in self.layer.non_trainable_variables]

        def run(trained: Any, x: Any) -> tuple[Any, Any]:
            y, after = self.layer.stateless_call(trained, kept, x, **mode)
            return y, after

        trained = [variable.value for variable in self.layer.trainable_variables]
        y, back, after = jax.vjp(run, trained, x, has_aux=True)
        grads, dx = back(self._like(dout, y))
        for variable, value in zip(self.layer.non_trainable_variables, after, strict=True):
            variable.assign(value)
        return y, dx, dict(zip(names, grads, strict=True))

    def state(self) -> dict[str, Any]:
        return {_name(weight): self._numpy(_value(weight)) for weight in self.layer.weights}

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        for weight in self.layer.weights:
            if _name(weight) in values:
                weight.assign(np.asarray(values[_name(weight)]))

    def saved_and_loaded(self) -> KerasLayer:
        other = KerasLayer(self._factory, self._spec, self._keras, self._backend)
        rebuilt = type(self.layer).from_config(self.layer.get_config())
        rebuilt.build(self._shape)
        rebuilt.set_weights(self.layer.get_weights())
        other.layer = rebuilt
        return other

    def freeze(self) -> None:
        self.layer.trainable = False


def _name(weight: Any) -> str:
    return str(weight.name).rpartition("/")[2].partition(":")[0]


def _value(weight: Any) -> Any:
    return weight.value if not callable(getattr(weight, "value", None)) else weight.value()
