"""Imports and calls functions that users write and name in the configuration as `package.module:function`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bnbench.config.schema import ConfigError


def factory(key: str, name: str | None) -> Callable[..., Any]:
    """The function that a configuration key names.

    Its module may also lie in the current folder, as for `python -m`.

    Args:
        key: The configuration key, for errors.
        name: Its value, `package.module:function`.

    Raises:
        ConfigError: If there is no such function, or its module cannot be imported; one line.
    """
    module_name = _module_name(key, name)
    try:
        module = _import(module_name)
    except Exception as error:  # whatever a user's module does when it is imported
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    function: Any = getattr(module, str(name).partition(":")[2], None)
    if not callable(function):
        raise ConfigError(f"{key}={name} is not a function; {module_name} has none of that name")
    result: Callable[..., Any] = function
    return result


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        from bnbench.tensors.vision_ops import ensure_torchvision

        ensure_torchvision()  # the module, or Lightning for it, could not import torchvision beside this torch
        return importlib.import_module(module)


def call(function: Callable[..., Any], arguments: Mapping[str, Any], error: type[Exception], failure: str) -> Any:
    """Call a function or class that a user wrote, with as many of the arguments as it takes.

    They are passed by position, in their order; by name if the function needs only some of them or names them in
    another order. A parameter of another name that has a default keeps the default: `torch.nn:BatchNorm1d` is called
    with the number of features alone.

    Args:
        function: The function or class.
        arguments: The documented arguments by name, in the documented order.
        error: The class of exception to raise.
        failure: How the line of that exception begins.

    Raises:
        error: If the function raised anything; one line with what it raised and how it was called.
    """
    try:
        positional, named = _accepted(function, arguments)
        return function(*positional, **named)
    except Exception as raised:  # whatever a user's function raises
        name = getattr(function, "__name__", "it")
        raise error(f"{failure}: {one_line(raised)}; it is called as {name}({', '.join(arguments)})") from raised


def _accepted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that a function accepts: those to pass by position and those to pass by name; see `call`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin has no signature
        return [*arguments.values()], {}
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if required != [*arguments][: len(required)] and {*required} <= arguments.keys():
        return [], {p.name: arguments[p.name] for p in parameters if p.name in arguments}
    accepted: list[Any] = []
    for p in parameters:
        remaining = [*arguments.values()][len(accepted) :]
        if p.kind == p.VAR_POSITIONAL:
            return [*accepted, *remaining], {}
        has_default = p.default is not p.empty and (inspect.isclass(function) or p.default is not None)
        if not remaining or p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) or (has_default and p.name not in arguments):
            break
        accepted.append(remaining[0])
    return accepted, {}


_imported_digests: dict[str, str] = {}
"""By path, the digest of each source file when this process first read it, which is the version it has imported."""


def source_hash(key: str, name: str) -> str:
    """The first 16 hex digits of the SHA-256 of the file that holds a function, so that an edit makes another trial.

    Files that this file imports are not hashed.

    Raises:
        ConfigError: If there is no such file, or it was edited since this process first looked at it; one line.
    """
    module = _module_name(key, name)
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(f"{key}={name}: there is no module {module} in {Path.cwd()} or among what is installed")
    digest = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
    if _imported_digests.setdefault(spec.origin, digest) != digest:
        raise ConfigError(
            f"{key}={name}: {spec.origin} was edited after this process had imported it; start Python anew (in a "
            "notebook, restart the kernel)"
        )
    return digest


def one_line(error: Exception) -> str:
    """An exception's type and message in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _module_name(key: str, name: str | None) -> str:
    parts = re.fullmatch(r"(\w+(?:\.\w+)*):(\w+)", name or "")
    if parts is None:
        raise ConfigError(f"{key}={name} is not allowed; it must be package.module:function")
    if parts[1] == "__main__":
        itself = {"model.factory": "network", "norm.factory": "norm"}
        raise ConfigError(
            f"{key}={name} stands in a notebook or in the script that runs, which worker processes cannot import; put "
            f"it into a file beside that (in a notebook: %%writefile own.py) and give {key}=own:{parts[2]}"
            + (f"; or give it to run itself: {itself[key]}={parts[2]}" if key in itself else "")
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return parts[1]
