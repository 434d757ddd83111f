"""Functions of the user's own, named in the configuration as `package.module:function`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bnbench.config.schema import ConfigError

__all__ = ["factory", "one_line", "source_hash"]


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
        found = importlib.import_module(module)
    except Exception as error:  # whatever a user's module does when it is imported
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    function = getattr(found, str(name).partition(":")[2], None)
    if not callable(function):
        raise ConfigError(f"{key}={name} is not a function; {module} has none of that name")
    made: Callable[..., Any] = function
    return made


@cache
def source_hash(key: str, name: str) -> str:
    """16 hex digits of the file that holds the function: an edited function makes another trial.

    Files that it imports are not looked into.

    Raises:
        ConfigError: If there is no such file; one line.
    """
    module = _module(key, name)
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ConfigError(f"{key}={name} cannot be imported: {one_line(error)}") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(f"{key}={name}: there is no module {module} in {Path.cwd()} or among what is installed")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]


def one_line(error: Exception) -> str:
    """What an exception of somebody else's code says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _module(key: str, name: str | None) -> str:
    parts = re.fullmatch(r"(\w+(?:\.\w+)*):(\w+)", name or "")
    if parts is None:
        raise ConfigError(f"{key}={name} is not allowed; it must be package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return parts[1]
