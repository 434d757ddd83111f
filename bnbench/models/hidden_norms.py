"""Refuses norms that a network reaches by another way than by its modules, where none can take their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from bnbench.config import ConfigError
from bnbench.models.norm_modules import NORM_FUNCTIONS, is_norm


@contextmanager
def no_hidden_norm(source: str) -> Iterator[None]:
    """Inside this context, a forward pass that calls any norm raises an error; run a network in it without its norms.

    It finds norms that a network has only while it is trained, too: kept in a plain list, or called as functions.

    Args:
        source: Which function made the network, for errors: `model.factory=…`.

    Raises:
        ConfigError: From the forward pass of the network; one line.
    """

    def refuse(module: nn.Module, inputs: object) -> None:
        if is_norm(module):
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
        if func in NORM_FUNCTIONS:
            raise ConfigError(
                f"{self._source}: its forward calls {NORM_FUNCTIONS[func]}, and norm= cannot take the place of a "
                "function; make it a module in __init__, and call that"
            )
        return func(*args, **(kwargs or {}))
