"""Replaces every norm of a custom network by the norm that `norm=` chooses."""

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
"""The classes that `norm=` replaces, and the attribute of each that holds its number of channels."""

_NOT_SWAPPED = (nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.modules.batchnorm._NormBase, ChannelNorm)

_NORM_FUNCTIONS: dict[Callable[..., Any], str] = {
    function: name
    for names, module in (
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm"), F),
        (("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "native_batch_norm"), torch),
        (("native_layer_norm", "native_group_norm"), torch),
    )
    for name in names
    for function in [getattr(module, name)]
}
"""Functions that normalize, and their names. A network must not call them: a function cannot be replaced."""

_SWAPPED_NAMES = ", ".join(norm_class.__name__ for norm_class in SWAPPED)


def swap_norms(net: nn.Module, norm: NormConfig, source: str, *, keep: bool = False) -> None:
    """Replace every batch, group and instance norm by the chosen norm, on as many channels, and dropout by bnbench's.

    If one norm is used at several places, one new norm is used at all of them, so that they still share parameters.

    Args:
        net: The network, which is changed in place.
        norm: The norm; for `norm=none` norms are replaced by the identity.
        source: Which function made the network, for errors: `model.factory=…`.
        keep: Whether a new norm starts with those values of scale, shift and running statistics that the old one has.

    Raises:
        ConfigError: If there is a norm that cannot be replaced; one line.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    for path, module in [*net.named_modules()]:
        for name, child in [*module._modules.items()]:  # named_children() would give an object only once
            if child is None:
                continue
            if child not in replacements:
                new = _replacement(child, norm, f"{path}.{name}".lstrip("."), source)
                if new is None:
                    continue
                if keep:
                    _copy_values(new, child)
                _freeze_parameters(new, child)
                replacements[child] = new
            module._modules[name] = replacements[child]


def _replacement(child: nn.Module, norm: NormConfig, where: str, source: str) -> nn.Module | None:
    """The module that replaces `child`, or None if it stays."""
    if type(child) in SWAPPED:
        return make_norm(norm, getattr(child, SWAPPED[type(child)])) or nn.Identity()
    if isinstance(child, _NOT_SWAPPED):
        raise ConfigError(
            f"{source}: norm= cannot take the place of {where} ({type(child).__name__}); build the network with one of "
            f"{_SWAPPED_NAMES}"
        )
    if type(child) is nn.Dropout:
        return Dropout(child.p) if child.p else nn.Identity()
    return None


def _copy_values(new: nn.Module, old: nn.Module) -> None:
    """Copy the values of the parameters and buffers that both have, by name, from `old` to `new`."""
    values = dict([*old.named_parameters(), *old.named_buffers()])
    with torch.no_grad():
        for name, value in (*new.named_parameters(), *new.named_buffers()):
            if name in values and values[name].shape == value.shape:
                value.copy_(values[name])


def _freeze_parameters(new: nn.Module, old: nn.Module) -> None:
    """Freeze the parameters of `new` whose namesakes in `old` are frozen (requires_grad=False)."""
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


@contextmanager
def no_hidden_norm(source: str) -> Iterator[None]:
    """Inside this context, a forward pass that calls any norm raises an error; run a network in it without its norms.

    It finds norms that `swap_norms` cannot see: kept in a plain list, for example, or called as functions.

    Args:
        source: Which function made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: From the forward pass of the network; one line.
    """

    def refuse(module: nn.Module, inputs: object) -> None:
        if type(module) in SWAPPED or isinstance(module, _NOT_SWAPPED):
            raise ConfigError(
                f"{source}: its forward uses a {type(module).__name__} that is no attribute of a module, so that norm= "
                "cannot take its place; make it an attribute or put it in a torch.nn.ModuleList, and call that"
            )

    handle = nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        with _NormFunctionsRefused(source):
            yield
    finally:
        handle.remove()


class _NormFunctionsRefused(TorchFunctionMode):
    """Refuses norms that are called as functions."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _NORM_FUNCTIONS:
            raise ConfigError(
                f"{self._source}: its forward calls {_NORM_FUNCTIONS[func]}, and norm= cannot take the place of a "
                f"function; use one of {_SWAPPED_NAMES}"
            )
        return func(*args, **(kwargs or {}))
