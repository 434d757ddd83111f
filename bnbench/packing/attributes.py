"""The state of a network beside its parameters: counters, tensors in plain attributes, buffers registered later."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from pickle import Pickler
from typing import Any

import torch
from torch import Tensor, nn

_TORCH_ATTRIBUTES = vars(nn.Module()).keys()
_SCALARS = (type(None), bool, int, float, complex, str)

Buffers = Collection[tuple[nn.Module, str]]
"""Buffers, each by its module and its name there."""


class _Opaque:
    """Stands in a snapshot for a value that a checkpoint cannot hold.

    Attributes:
        kind: The name of the value's class.
        digest: Equal in two snapshots if the value did not change between them; None where that cannot be told.
    """

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__
        self.digest = _digest(value)


def snapshot(net: nn.Module, held_buffers: Buffers = ()) -> dict[str, Any]:
    """Copies of the modules' present attributes by `module.name`: plain data, or an `_Opaque` for any other value.

    Args:
        net: The network.
        held_buffers: Buffers that are stored elsewhere and left out here.
    """
    return {name: _copy(value) for name, value in _values(net, held_buffers)}


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of attributes that are new in the second snapshot or have another value there."""
    return [name for name, value in after.items() if name not in before or not _same(before[name], value)]


def saveable_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The changed attributes that are plain data, which a checkpoint can hold."""
    return {name: after[name] for name in changed_names(before, after) if _is_plain(after[name])}


def unsaveable_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The changed attributes that no checkpoint can hold, each with the name of its class."""
    return [f"{name} ({after[name].kind})" for name in changed_names(before, after) if not _is_plain(after[name])]


def restore(net: nn.Module, values: Mapping[str, Any]) -> None:
    """Set the modules' attributes to the values of `saveable_changes`."""
    modules = dict(net.named_modules())
    for name, value in values.items():
        path, _, attribute = name.rpartition(".")
        module = modules[path]
        if attribute in module._buffers:
            module._buffers[attribute] = _copy(value)
        else:
            module.__dict__[attribute] = _copy(value)


def _values(net: nn.Module, held_buffers: Buffers) -> Iterator[tuple[str, object]]:
    for path, module in net.named_modules():
        attributes = {name: value for name, value in vars(module).items() if name not in _TORCH_ATTRIBUTES}
        attributes |= {name: value for name, value in module._buffers.items() if (module, name) not in held_buffers}
        for name, value in attributes.items():
            yield f"{path}.{name}".lstrip("."), value


def _copy(value: object) -> Any:
    """The value, its tensors detached and copied; an `_Opaque` where it is not plain data."""
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
            return bool(a.digest == b.digest)
        case Tensor():
            return a.dtype == b.dtype and torch.equal(a, b)
        case list() | tuple():
            return len(a) == len(b) and all(map(_same, a, b))
        case dict():
            return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return bool(a == b)


class _DigestPickler(Pickler):
    """Pickles a value so that two snapshots of it can be compared; modules and parameters are stored elsewhere."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, nn.Module | nn.Parameter):
            return "held"
        if isinstance(obj, torch.Generator):
            return obj.get_state().numpy().tobytes()
        if isinstance(obj, Tensor):
            return obj.dtype, tuple(obj.shape), obj.detach().cpu().reshape(-1).tolist()
        return None


def _digest(value: object) -> str | None:
    stream = io.BytesIO()
    try:
        _DigestPickler(stream).dump(value)
    except Exception:  # whether a value that cannot be pickled has changed cannot be told
        return None
    return hashlib.sha256(stream.getvalue()).hexdigest()
