"""Functions of the user's own, named in the configuration as `package.module:function`."""

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
    """The function that a key names.

    Modules are looked for in the current folder too, as `python -m` does.

    Args:
        key: The configuration key, for errors.
        name: Its value, `package.module:function`.

    Raises:
        ConfigError: If there is no such function; one line.
    """
    module = _module(key, name)
    try:
        found = _imported(module)
    except Exception as error:  # whatever a user's module does when it is imported
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    function = getattr(found, str(name).partition(":")[2], None)
    if not callable(function):
        raise ConfigError(f"{key}={name} is not a function; {module} has none of that name")
    made: Callable[..., Any] = function
    return made


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        from bnbench.tensors.vision_ops import ensure_torchvision

        ensure_torchvision()  # which it, or Lightning for it, could not import beside this torch
        return importlib.import_module(module)


def call(make: Callable[..., Any], arguments: Mapping[str, Any], error: type[Exception], failed: str) -> Any:
    """What a function or class of the user's own returns for these arguments.

    It is given as many as it takes, in their order; by name where it needs only some of them, or in another order.
    What has a default of another name keeps it: `torch.nn:BatchNorm1d` is given the features alone.

    Args:
        make: The function.
        arguments: By name, in the order that is documented.
        error: What to raise.
        failed: How its line begins.

    Raises:
        error: Whatever the function raised, and how it was called; one line.
    """
    try:
        positional, named = _taken(make, arguments)
        return make(*positional, **named)
    except Exception as raised:  # whatever a user's function raises
        name = getattr(make, "__name__", "it")
        raise error(f"{failed}: {one_line(raised)}; it is called as {name}({', '.join(arguments)})") from raised


def _taken(make: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return [*arguments.values()], {}
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed != [*arguments][: len(needed)] and {*needed} <= arguments.keys():
        return [], {p.name: arguments[p.name] for p in parameters if p.name in arguments}
    taken: list[Any] = []
    for p in parameters:
        left = [*arguments.values()][len(taken) :]
        if p.kind == p.VAR_POSITIONAL:
            return [*taken, *left], {}
        own_default = p.default is not p.empty and (inspect.isclass(make) or p.default is not None)
        if not left or p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) or (own_default and p.name not in arguments):
            break
        taken.append(left[0])
    return taken, {}


_read: dict[str, str] = {}
"""What files held when this process first looked at them, which is what it has imported."""


def source_hash(key: str, name: str) -> str:
    """16 hex digits of the file that holds the function: an edited function makes another trial.

    Files that it imports are not looked into.

    Raises:
        ConfigError: If there is no such file, or it was edited since this process first looked at it; one line.
    """
    module = _module(key, name)
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(f"{key}={name}: there is no module {module} in {Path.cwd()} or among what is installed")
    digest = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
    if _read.setdefault(spec.origin, digest) != digest:
        raise ConfigError(
            f"{key}={name}: {spec.origin} was edited after this process had imported it; start Python anew (in a "
            "notebook, restart the kernel)"
        )
    return digest


def one_line(error: Exception) -> str:
    """What an exception of somebody else's code says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _module(key: str, name: str | None) -> str:
    parts = re.fullmatch(r"(\w+(?:\.\w+)*):(\w+)", name or "")
    if parts is None:
        raise ConfigError(f"{key}={name} is not allowed; it must be package.module:function")
    if parts[1] == "__main__":
        raise ConfigError(
            f"{key}={name} stands in a notebook or in the script that runs, which worker processes cannot import; put "
            f"it into a file beside that (in a notebook: %%writefile own.py) and give {key}=own:{parts[2]}"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return parts[1]
