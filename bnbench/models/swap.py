"""Puts the norm that `norm=` chooses in the place of every norm of a network of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from bnbench.config import ConfigError, NormConfig
from bnbench.models.dropout import Dropout
from bnbench.norms import make_norm
from bnbench.norms.channel_norm import ChannelNorm

SWAPPED: dict[type[nn.Module], str] = {
    nn.BatchNorm1d: "num_features",
    nn.BatchNorm2d: "num_features",
    nn.InstanceNorm2d: "num_features",
    nn.GroupNorm: "num_channels",
}
"""What `norm=` takes the place of, and where its channels are named."""

_NOT_SWAPPED = (nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.modules.batchnorm._NormBase, ChannelNorm)

_FUNCTIONS: dict[Callable[..., Any], str] = {
    function: name
    for names, module in (
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm"), F),
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "native_batch_norm"), torch),
        (("native_layer_norm", "native_group_norm"), torch),
    )
    for name in names
    for function in [getattr(module, name)]
}
"""Norms that are called as functions, which nothing can take the place of."""

_KINDS = ", ".join(kind.__name__ for kind in SWAPPED)


def swap_norms(net: nn.Module, norm: NormConfig, source: str, *, keep: bool = False) -> None:
    """Make every batch, group and instance norm the chosen one, on as many channels, and dropout bnbench's.

    One object that stands at several places is one object there again: its places go on sharing what they share.

    Args:
        net: Changed in place.
        norm: The norm; its place is taken by nothing for `norm=none`.
        source: Who made the network, for errors: `model.factory=…`.
        keep: Whether the new norm starts with the scale, shift and running statistics of the one before, where it has
            them too.

    Raises:
        ConfigError: If there is a norm that it cannot take the place of.
    """
    made: dict[nn.Module, nn.Module] = {}
    for path, module in [*net.named_modules()]:
        for name, child in [*module._modules.items()]:  # named_children() leaves out the second place of an object
            if child is None:
                continue
            if child not in made:
                new = _in_place_of(child, norm, f"{path}.{name}".lstrip("."), source)
                if new is None:
                    continue
                if keep:
                    _take_over(new, child)
                _freeze_alike(new, child)
                made[child] = new
            module._modules[name] = made[child]


def _in_place_of(child: nn.Module, norm: NormConfig, where: str, source: str) -> nn.Module | None:
    """What a module becomes, or None where it stays."""
    if type(child) in SWAPPED:
        return make_norm(norm, getattr(child, SWAPPED[type(child)])) or nn.Identity()
    if isinstance(child, _NOT_SWAPPED):
        raise ConfigError(
            f"{source}: norm= cannot take the place of {where} ({type(child).__name__}); build the network with one of "
            f"{_KINDS}"
        )
    if type(child) is nn.Dropout:
        return Dropout(child.p) if child.p else nn.Identity()
    return None


def _take_over(new: nn.Module, old: nn.Module) -> None:
    """The values of parameters and buffers that both have, by name."""
    values = dict([*old.named_parameters(), *old.named_buffers()])
    with torch.no_grad():
        for name, own in (*new.named_parameters(), *new.named_buffers()):
            if name in values and values[name].shape == own.shape:
                own.copy_(values[name])


def _freeze_alike(new: nn.Module, old: nn.Module) -> None:
    """Parameters of a frozen norm's names are frozen."""
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


@contextmanager
def no_hidden_norm(source: str) -> Iterator[None]:
    """Inside, a network without norms runs: whatever norm its forward reaches all the same is refused.

    It may be kept in a plain list, say, which hides it from its network, or be called as a function.

    Args:
        source: Who made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: Out of the network's forward.
    """

    def refuse(module: nn.Module, inputs: object) -> None:
        if type(module) in SWAPPED or isinstance(module, _NOT_SWAPPED):
            raise ConfigError(
                f"{source}: its forward uses a {type(module).__name__} by another way than by its name, where norm= "
                "cannot take its place; keep it as an attribute of a module or in a torch.nn.ModuleList, and call that"
            )

    handle = nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        with _NoFunctions(source):
            yield
    finally:
        handle.remove()


class _NoFunctions(TorchFunctionMode):
    """Refuses norms that are called as functions."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FUNCTIONS:
            raise ConfigError(
                f"{self._source}: its forward calls {_FUNCTIONS[func]}, and norm= cannot take the place of a function; "
                f"use one of {_KINDS}"
            )
        return func(*args, **(kwargs or {}))
