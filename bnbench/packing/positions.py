"""Functions that a forward calls itself and whose value at an element depends on where the element lies in memory.

Torch's vectorized exp and log round differently from the scalar ones that finish the last few elements of a tensor. The
layers of a pack make up for that (`exact`); a function that a forward calls does not, and the last trials of a pack
would differ from themselves elsewhere. How many elements that concerns, and how often they differ, is up to the
processor: a step of a small network need not show it. So each function is tried by itself, on many elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bnbench.packing.leaves import RULES
from bnbench.packing.pack import is_called_one_by_one
from bnbench.packing.rehearsal import equal_bits

_LENGTHS = range(1, 65)  # of tensors: all lengths of their last, unfinished vectors occur
_ROWS = 32


class _Call(NamedTuple):
    """A function that was called with one tensor, first, and with what else."""

    function: Callable[..., Any]
    others: tuple[Any, ...]
    named: dict[str, Any]


class _Calls(TorchFunctionMode):
    """Notes what a network calls outside the layers that a pack has rules for."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.noted: list[_Call] = []
        self._in_layers = 0
        for module in net.modules():
            if type(module) in RULES or is_called_one_by_one(module):
                module.register_forward_pre_hook(self._enter)
                module.register_forward_hook(self._leave)

    def _enter(self, *_: object) -> None:
        self._in_layers += 1

    def _leave(self, *_: object) -> None:
        self._in_layers -= 1

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if not self._in_layers and args and isinstance(args[0], Tensor):
            others = (*args[1:], *named.values())
            if args[0].is_floating_point() and not any(isinstance(one, Tensor) for one in others):
                self.noted.append(_Call(function, args[1:], named))
        return function(*args, **named)


def depends_on_position(net: nn.Module, images: Tensor) -> str | None:
    """The name of a function of the network's forward that gives an element another value elsewhere in memory.

    Args:
        net: The network, which may be changed.
        images: Of shape (N, C, H, W).
    """
    with _Calls(net) as calls, torch.no_grad():
        net.train()(images.clone())
    for call in calls.noted:
        if _differs(call, images.dtype):
            return str(getattr(call.function, "__name__", call.function))
    return None


_tried: list[tuple[_Call, torch.dtype, bool]] = []
"""Whether each call differs that was tried in this process: the networks of a sweep call the same few functions."""


def _differs(call: _Call, dtype: torch.dtype) -> bool:
    for known, of_dtype, differs in _tried:
        if (known, of_dtype) == (call, dtype):
            return differs
    _tried.append((call, dtype, _differs_where_tried(call, dtype)))
    return _tried[-1][-1]


def _differs_where_tried(call: _Call, dtype: torch.dtype) -> bool:
    """Whether an elementwise function, or its slope, rounds otherwise at a tensor's end; False for any other one."""
    rows = 3 * torch.randn(_ROWS, 2 * len(_LENGTHS), generator=torch.Generator().manual_seed(0), dtype=dtype)
    try:
        for row in rows:
            whole = _value_and_slope(call, row)
            for length in _LENGTHS:
                if not equal_bits(_value_and_slope(call, row[:length]), [of_all[:length] for of_all in whole]):
                    return True
    except Exception:  # what fails on a row of numbers is not elementwise, and is judged where packs are tried
        return False
    return False


def _value_and_slope(call: _Call, row: Tensor) -> list[Tensor]:
    """Both of shape (length,); a slope only where there is one."""
    x = row.clone().requires_grad_()
    y = call.function(x * 1, *call.others, **call.named)  # which may write into its input
    if y.shape != x.shape:
        raise ValueError("it is not elementwise")
    if not y.requires_grad:
        return [y]
    y.sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad]
