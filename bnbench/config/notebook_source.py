"""Writes a network or a norm of a notebook's cell into a module, which workers and later runs can import.

A worker is another process: it cannot import what exists in a kernel alone. So the definition goes into a file, with
those it uses, but without the cells themselves, which train when they are run. The file is named by what it says: an
edited network is another file and another trial, and the same one the same trial, tomorrow as well.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import inspect
import linecache
import re
import symtable
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bnbench.config.schema import ConfigError
from bnbench.record.whole_file import replace_file

SECTIONS = {"network": "model", "norm": "norm"}
"""What can be given as it is, with the section of the configuration that it is for.

In the current folder, `bnbench_networks` and `bnbench_norms` are for those that were defined in notebooks.
"""

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def factory_name(what: str, given: Callable[..., Any]) -> str:
    """What `model.factory` or `norm.factory` takes for a class or function; one of a notebook is written out first.

    Args:
        what: "network" or "norm".
        given: A class or function, defined at the top level of a notebook, a script or a module.

    Returns:
        `package.module:name`, of a module that is found from the current folder.

    Raises:
        ConfigError: If it is something else, or its source, or that of something it uses, cannot be had; one line.
    """
    name, module = getattr(given, "__qualname__", ""), getattr(given, "__module__", "")
    if not callable(given) or not re.fullmatch(r"[A-Za-z_]\w*", name):
        said = name or " ".join(repr(given).split())
        raise ConfigError(
            f"{what}={said} is not allowed; it must be a class or function that is defined by name, outside of others"
        )
    if module != "__main__":
        return f"{module}:{name}"
    text, folder = _Definitions(sys.modules["__main__"], what, name).text(), f"bnbench_{what}s"
    file = Path(folder) / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:8]}.py"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        replace_file(file, text)
        importlib.invalidate_caches()
    return f"{folder}.{file.stem}:{name}"


class _Definitions:
    """A definition with all that it uses, in an order in which Python can read it."""

    def __init__(self, module: ModuleType, what: str, name: str) -> None:
        self._values = vars(module)
        self._what = what
        self._wanted = name
        self._done: set[str] = set()
        self._imports: list[str] = []
        self._rest: list[str] = []
        self._add(name)

    def text(self) -> str:
        """The module."""
        head = f'"""{self._wanted}, written from a notebook; bnbench imports it, so leave it as it is."""\n'
        imports = "".join(f"{line}\n" for line in sorted(self._imports))
        return "\n".join(filter(None, [head, imports, "\n\n\n".join(self._rest)])) + "\n"

    def _add(self, name: str) -> None:
        if name in self._done or name not in self._values:  # else a builtin, or an error when it is called
            return
        self._done.add(name)
        value = self._values[name]
        home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        found = _importable(value, name)
        if isinstance(value, ModuleType):
            self._imports.append(f"import {value.__name__} as {name}")
        elif home == "__main__" and own and (inspect.isclass(value) or inspect.isfunction(value)):
            source = _definition(value)
            if source is None or own != name:
                raise self._refusal(name, "whose source cannot be had")
            for used in sorted(_used(source)):
                self._add(used)
            self._rest.append(source)
        elif found:
            self._imports.append(f"from {found[0]} import {found[1]} as {name}")
        elif _is_constant(value):
            self._rest.append(f"{name} = {value!r}")
        else:
            raise self._refusal(name, f"a {type(value).__name__} of the notebook, which no file can hold")

    def _refusal(self, name: str, why: str) -> ConfigError:
        told = f"{self._what}={self._wanted}" + ("" if name == self._wanted else f" uses {name}")
        section = SECTIONS[self._what]
        return ConfigError(
            f"{told}, {why}; put the {self._what} into a file beside the notebook (%%writefile own.py) and give "
            f"{section}=custom {section}.factory=own:{self._wanted}"
        )


def _definition(value: Any) -> str | None:
    """The source of a class or function, decorators included, from the cell or script that defined it."""
    for code in _code_of(value):
        lines = linecache.getlines(code.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name != value.__name__:
                continue
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first <= code.co_firstlineno <= (node.end_lineno or 0):
                return "".join(lines[first - 1 : node.end_lineno]).rstrip()
    return None


def _code_of(value: Any) -> Iterator[Any]:
    """The code of a function, or of each method of a class: a class itself does not say where it was defined."""
    for function in [value] if inspect.isfunction(value) else vars(value).values():
        function = inspect.unwrap(getattr(function, "__func__", function)) if callable(function) else function
        if hasattr(function, "__code__"):
            yield function.__code__


def _importable(value: Any, name: str) -> tuple[str, str] | None:
    """The module and the name under which Python finds the very same object; None for what is no import's."""
    if _is_constant(value):
        return None
    names = [known for known in (getattr(value, "__qualname__", None), getattr(value, "__name__", None), name) if known]
    home = getattr(value, "__module__", None)
    # A builtin of an extension, such as torch.cat, says nothing of its module, so all are asked.
    homes = [home] if isinstance(home, str) else sorted(sys.modules, key=lambda module: (len(module), module))
    for module in homes:
        for known in names:
            if module != "__main__" and vars(sys.modules.get(module, object)).get(known, names) is value:
                return module, known
    return None


def _used(source: str) -> set[str]:
    """The names that a definition takes from its module."""
    top = symtable.symtable(source, "cell", "exec")
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    tables = top.get_children()
    while tables:
        table = tables.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        tables += table.get_children()
    return {name for name in names if not hasattr(builtins, name)}


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_constant, value))
    if isinstance(value, dict):
        return all(_is_constant(part) for item in value.items() for part in item)
    return type(value) in _CONSTANTS
