"""Finds out which initial weights a custom network brings that are not the defaults of its layers' constructors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError
from bnbench.models.norm_modules import is_norm
from bnbench.tensors.seeding import seeded

_DRAWN = (nn.Linear, nn.Conv2d)
"""The layers whose weights `model.init` draws."""

_RESETTABLE = (nn.Linear, nn.modules.conv._ConvNd)
"""The classes whose constructors call `reset_parameters` to fill their weights."""

_NORM_DEFAULTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}

_Values = dict[str, Tensor]


class BroughtWeights(NamedTuple):
    """Which layers of a network have initial weights that are not their constructors' defaults.

    Attributes:
        layers: Names of those linear and conv layers and norms: pretrained, zeroed, or drawn in another way.
        layer_count: How many linear and conv layers and norms the network has.
        checksum: SHA-256 of those weights, 16 hex digits, if they do not depend on the seed, so that only a file or a
            formula can change them; else empty.
    """

    layers: tuple[str, ...]
    layer_count: int
    checksum: str


def find_brought_weights(make: Callable[[], nn.Module], source: str, *, keep: bool) -> BroughtWeights:
    """Make the network three times, under two seeds, and compare its weights with its constructors' defaults.

    Args:
        make: Makes the network.
        source: Which function that is, for errors: `model.factory=…`.
        keep: Whether training starts from the weights that the network brings, not from weights drawn anew.

    Raises:
        ConfigError: If two calls return one object or share a part, or differ in weights under one seed; one line.
    """
    with seeded(0), _recorded_defaults() as defaults:
        net = make()
        layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, _DRAWN) or is_norm(layer)]
        changed = [name for name, layer in layers if not _has_defaults(layer, defaults)]
    with seeded(0):
        same_seed = make()
    with seeded(1):
        other_seed = make()
    shared = {*map(id, _parts(net))} & {*map(id, _parts(same_seed))}
    if shared:
        kinds = sorted({type(part).__name__ for part in _parts(net) if id(part) in shared})
        raise ConfigError(
            f"{source} returns the same {', '.join(kinds)} at every call, so that trials would share it; make a new "
            "network in it"
        )
    differing = [
        name
        for name, value in net.state_dict().items()
        if not torch.equal(value, same_seed.state_dict()[name])
        and (keep or not isinstance(net.get_submodule(name.rpartition(".")[0]), _DRAWN))
    ]
    if differing:
        raise ConfigError(
            f"{source} gives {', '.join(differing[:3])} other values at every call, whatever the seed; draw them from "
            "torch's, numpy's or Python's global generator, which bnbench seeds"
        )
    fixed = changed and all(
        torch.equal(value, other_value)
        for name in changed
        for value, other_value in zip(_values(net, name).values(), _values(other_seed, name).values(), strict=True)
    )
    return BroughtWeights((*changed,), len(layers), _checksum(net, changed) if fixed else "")


@contextmanager
def _recorded_defaults() -> Iterator[WeakKeyDictionary[nn.Module, _Values]]:
    """Inside this context, record the values that the constructors of linear and conv layers give them, by layer."""
    defaults: WeakKeyDictionary[nn.Module, _Values] = WeakKeyDictionary()
    originals = [(kind, kind.reset_parameters) for kind in _RESETTABLE]

    def recording(fill: Callable[[nn.Module], None]) -> Callable[[nn.Module], None]:
        def reset_parameters(layer: nn.Module) -> None:
            fill(layer)
            defaults[layer] = {name: p.detach().clone() for name, p in layer.named_parameters(recurse=False)}

        return reset_parameters

    for kind, fill in originals:
        kind.reset_parameters = recording(fill)  # type: ignore[method-assign,assignment,arg-type]
    try:
        yield defaults
    finally:
        for kind, fill in originals:
            kind.reset_parameters = fill  # type: ignore[method-assign]


def _has_defaults(layer: nn.Module, defaults: WeakKeyDictionary[nn.Module, _Values]) -> bool:
    """Whether the values of a layer are those that its constructor gave it."""
    values = {name: value for name, value in layer.state_dict().items() if "." not in name}
    if is_norm(layer):
        return all(bool((values[name] == value).all()) for name, value in _NORM_DEFAULTS.items() if name in values)
    default = defaults.get(layer, {})
    return default.keys() == values.keys() and all(torch.equal(default[name].to(v), v) for name, v in values.items())


def _parts(net: nn.Module) -> list[object]:
    return [*net.modules(), *net.parameters(), *net.buffers()]


def _values(net: nn.Module, name: str) -> _Values:
    return net.get_submodule(name).state_dict()


def _checksum(net: nn.Module, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        for key, value in _values(net, name).items():
            digest.update(f"{name}.{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else b"")
    return digest.hexdigest()[:16]
