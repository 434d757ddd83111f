"""Imports the classes that catalogs name, when they are first used: catalogs themselves import no torch."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def imported(path: str) -> Any:
    """The class or function that a catalog names as `package.module:name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
