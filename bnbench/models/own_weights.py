"""What initial weights a network of the user's own brings: its constructors' defaults, or others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError
from bnbench.models.swap import SWAPPED
from bnbench.tensors.seeding import seeded

_DRAWN = (nn.Linear, nn.Conv2d)
"""The layers whose weights `model.init` draws."""

_CONSTRUCTED = (nn.Linear, nn.modules.conv._ConvNd)
"""Where the constructors of these layers fill their weights."""

_NORM_DEFAULTS = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}

_Values = dict[str, Tensor]


class Brought(NamedTuple):
    """Initial weights that do not come from constructors' defaults.

    Attributes:
        layers: Names of the linear and conv layers and norms that have them: pretrained, zeroed, drawn otherwise.
        of: How many linear and conv layers and norms there are.
        checksum: Of those weights where they are the same whatever the seed, so that only a file or a formula can
            change them; else empty.
    """

    layers: tuple[str, ...]
    of: int
    checksum: str


def brought(make: Callable[[], nn.Module], source: str, *, kept: bool) -> Brought:
    """Make the network three times, under two seeds, and compare.

    Args:
        make: Makes the network.
        source: Who that is, for errors: `model.factory=…`.
        kept: Whether the layers' weights will be kept, not drawn anew.

    Raises:
        ConfigError: If two networks are one object or share any, or one seed gives different weights.
    """
    with seeded(0), _defaults() as default:
        net = make()
        layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, _DRAWN) or _is_norm(layer)]
        own = [name for name, layer in layers if not _as_constructed(layer, default)]
    with seeded(0):
        again = make()
    with seeded(1):
        other = make()
    shared = {*map(id, _parts(net))} & {*map(id, _parts(again))}
    if shared:
        kinds = sorted({type(part).__name__ for part in _parts(net) if id(part) in shared})
        raise ConfigError(
            f"{source} returns the same {', '.join(kinds)} at every call, so that trials would share it; make a new "
            "network in it"
        )
    differing = [
        name
        for name, value in net.state_dict().items()
        if not torch.equal(value, again.state_dict()[name])
        and (kept or not isinstance(net.get_submodule(name.rpartition(".")[0]), _DRAWN))
    ]
    if differing:
        raise ConfigError(
            f"{source} gives {', '.join(differing[:3])} other values at every call, whatever the seed; draw them from "
            "torch's, numpy's or Python's global generator, which bnbench seeds"
        )
    same = own and all(
        torch.equal(value, mine)
        for name in own
        for value, mine in zip(_values(net, name).values(), _values(other, name).values(), strict=True)
    )
    return Brought((*own,), len(layers), _checksum(net, own) if same else "")


@contextmanager
def _defaults() -> Iterator[WeakKeyDictionary[nn.Module, _Values]]:
    """Inside, what the constructors of linear and conv layers fill them with is written down, by layer."""
    found: WeakKeyDictionary[nn.Module, _Values] = WeakKeyDictionary()
    originals = [(kind, kind.reset_parameters) for kind in _CONSTRUCTED]

    def noting(fill: Callable[[nn.Module], None]) -> Callable[[nn.Module], None]:
        def reset_parameters(layer: nn.Module) -> None:
            fill(layer)
            found[layer] = {name: p.detach().clone() for name, p in layer.named_parameters(recurse=False)}

        return reset_parameters

    for kind, fill in originals:
        kind.reset_parameters = noting(fill)  # type: ignore[method-assign,assignment,arg-type]
    try:
        yield found
    finally:
        for kind, fill in originals:
            kind.reset_parameters = fill  # type: ignore[method-assign]


def _as_constructed(layer: nn.Module, default: WeakKeyDictionary[nn.Module, _Values]) -> bool:
    """Whether a layer's values are its constructor's."""
    own = {name: value for name, value in layer.state_dict().items() if "." not in name}
    if _is_norm(layer):
        return all(bool((own[name] == value).all()) for name, value in _NORM_DEFAULTS.items() if name in own)
    filled = default.get(layer, {})
    return filled.keys() == own.keys() and all(torch.equal(filled[name].to(v), v) for name, v in own.items())


def _is_norm(layer: nn.Module) -> bool:
    return type(layer) in SWAPPED


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
