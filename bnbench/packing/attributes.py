"""What a network keeps beside its parameters: counters, tensors in plain attributes, buffers that it made later."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from pickle import Pickler
from typing import Any

import torch
from torch import Tensor, nn

_OF_TORCH = vars(nn.Module()).keys()
_SCALARS = (type(None), bool, int, float, complex, str)

Held = Collection[tuple[nn.Module, str]]
"""Buffers that are held already, each by its module and name."""


class _Opaque:
    """A value that a checkpoint cannot hold, by what it was.

    Attributes:
        mark: Two looks at a value that did not change have the same; None where that cannot be told.
    """

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__
        self.mark = _mark(value)


def look(net: nn.Module, held: Held = ()) -> dict[str, Any]:
    """Copies of what the modules keep now, by `module.name`: plain data, or what a value of another kind was."""
    return {name: _copy(value) for name, value in _values(net, held)}


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names whose values are new or others."""
    return [name for name, value in now.items() if name not in before or not _same(before[name], value)]


def kept(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Of these the plain data, which a checkpoint holds."""
    return {name: now[name] for name in changed(before, now) if _is_plain(now[name])}


def lost(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """And the others, with their kinds."""
    return [f"{name} ({now[name].kind})" for name in changed(before, now) if not _is_plain(now[name])]


def put(net: nn.Module, values: Mapping[str, Any]) -> None:
    """Give modules what they kept."""
    modules = dict(net.named_modules())
    for name, value in values.items():
        path, _, own = name.rpartition(".")
        module = modules[path]
        if own in module._buffers:
            module._buffers[own] = _copy(value)
        else:
            module.__dict__[own] = _copy(value)


def _values(net: nn.Module, held: Held) -> Iterator[tuple[str, object]]:
    for path, module in net.named_modules():
        own = {name: value for name, value in vars(module).items() if name not in _OF_TORCH}
        own |= {name: value for name, value in module._buffers.items() if (module, name) not in held}
        for name, value in own.items():
            yield f"{path}.{name}".lstrip("."), value


def _copy(value: object) -> Any:
    """The value, its tensors without their history; an `_Opaque` where it is no plain data."""
    if type(value) in _SCALARS:
        return value
    if type(value) is Tensor:
        return value.detach().clone()
    if type(value) in (list, tuple):
        items = [_copy(item) for item in value]  # type: ignore[attr-defined]
        return type(value)(items) if all(map(_is_plain, items)) else _Opaque(value)  # type: ignore[call-arg]
    if type(value) is dict and all(type(key) in _SCALARS for key in value):
        entries = {key: _copy(item) for key, item in value.items()}
        return entries if all(map(_is_plain, entries.values())) else _Opaque(value)
    return _Opaque(value)


def _is_plain(copied: object) -> bool:
    return not isinstance(copied, _Opaque)


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    match a:
        case _Opaque():
            return bool(a.mark == b.mark)
        case Tensor():
            return a.dtype == b.dtype and torch.equal(a, b)
        case list() | tuple():
            return len(a) == len(b) and all(map(_same, a, b))
        case dict():
            return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return bool(a == b)


class _Marker(Pickler):
    """Writes values down so that they can be compared; modules and parameters are held elsewhere."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, nn.Module | nn.Parameter):
            return "held"
        if isinstance(obj, torch.Generator):
            return obj.get_state().numpy().tobytes()
        if isinstance(obj, Tensor):
            return obj.dtype, tuple(obj.shape), obj.detach().cpu().reshape(-1).tolist()
        return None


def _mark(value: object) -> str | None:
    stream = io.BytesIO()
    try:
        _Marker(stream).dump(value)
    except Exception:  # of what cannot be pickled nobody can say whether it changed
        return None
    return hashlib.sha256(stream.getvalue()).hexdigest()
