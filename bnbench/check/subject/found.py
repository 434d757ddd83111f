"""Imports what is checked, finds out of which framework it is, and makes that framework's adapter."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bnbench.check.subject.layer import Framework, make

FRAMEWORKS = ("torch", "keras", "tf_keras", "flax", "nnx", "equinox", "haiku", "function")
"""What can be checked; of each, only the adapter that is asked for is imported."""

_PARAMETERS = (("x", "state", "training"), ("x", "gamma", "beta", "bn_param"))


class NotFoundError(Exception):
    """Bad input: what was named cannot be checked; one line."""


def adapter(name: str, framework: str | None, arguments: Mapping[str, Any], backward: str | None) -> tuple[str, Any]:
    """The framework's name and its adapter.

    Raises:
        NotFoundError: If there is no such class or function, or its framework cannot be told.
    """
    factory = _imported(name)
    framework = framework or _framework_of(factory, arguments)
    if framework is None:
        raise NotFoundError(f"{name}: its framework cannot be told; give --framework {'|'.join(FRAMEWORKS)}")
    return framework, _adapter(framework, factory, _imported(backward) if backward else None)


def _imported(name: str) -> Callable[..., Any]:
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever a user's module does when it is imported
        raise NotFoundError(f"{name} cannot be imported: {one_line(error)}") from error
    if not callable(found):
        raise NotFoundError(f"{name} is {type(found).__name__}; it must be a class or a function")
    return found  # type: ignore[no-any-return]


def one_line(error: BaseException) -> str:
    """An exception's type and message in one line, cut where it gets long."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:299] + "…"


def _framework_of(factory: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    if inspect.isclass(factory):
        return _of_class(factory)
    if len([*inspect.signature(factory).parameters]) in map(len, _PARAMETERS):
        return "function"
    try:
        return _of_class(type(make(factory, 3, arguments)))
    except Exception as error:
        raise NotFoundError(
            f"{factory.__name__}(3) fails: {one_line(error)}; a function that makes layers is called with the "
            f"number of channels and your NAME=VALUE; a plain function takes {' or '.join(map(_shown, _PARAMETERS))}"
        ) from error


def _shown(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)})"


def _of_class(cls: type) -> str | None:
    for base in cls.__mro__:
        package = base.__module__.partition(".")[0]
        if base.__name__ not in ("Module", "Layer"):
            continue
        if package == "flax":
            return "nnx" if ".nnx" in base.__module__ else "flax"
        if package in FRAMEWORKS:
            return package
    return None


def _adapter(framework: str, factory: Callable[..., Any], backward: Callable[..., Any] | None) -> Framework:
    try:
        if framework == "torch":
            from bnbench.check.subject.torch_layer import TorchFramework

            return TorchFramework(factory)
        if framework in ("keras", "tf_keras"):
            from bnbench.check.subject.keras_layer import KerasFramework

            return KerasFramework(factory, framework)
        if framework in ("flax", "nnx"):
            from bnbench.check.subject.flax_layer import LinenLayer, NnxLayer
            from bnbench.check.subject.jax_arrays import JaxFramework

            return JaxFramework("flax", NnxLayer if framework == "nnx" else LinenLayer, factory)
        if framework == "equinox":
            from bnbench.check.subject.equinox_layer import EquinoxLayer
            from bnbench.check.subject.jax_arrays import JaxFramework

            return JaxFramework("equinox", EquinoxLayer, factory)
        if framework == "haiku":
            from bnbench.check.subject.haiku_layer import HaikuLayer
            from bnbench.check.subject.jax_arrays import JaxFramework

            return JaxFramework("haiku", HaikuLayer, factory)
    except ImportError as error:
        raise NotFoundError(f"--framework {framework} cannot be used by {sys.executable}: {one_line(error)}") from error
    from bnbench.check.subject.function_layer import FunctionFramework

    return FunctionFramework(factory, backward)
