"""A pack can be tried out and be, to the bit, as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bnbench.packing.optimizers import PackOptimizer
from bnbench.packing.pack import Pack

__all__ = ["State", "unchanged"]


class State:
    """The values of a pack and its optimizer at one moment.

    Args:
        pack: In training mode, under running statistics.
        optimizer: The pack's.
    """

    def __init__(self, pack: Pack, optimizer: PackOptimizer) -> None:
        self._optimizer = optimizer
        self._gradients = [(p, p.grad) for p in pack.parameters()]
        self._parameters = _copies(pack.parameters())
        self._buffers = _copies(pack.buffers())
        self._state = _copies(value for state in optimizer.state.values() for value in state.values())
        self._taken, self._lrs = optimizer.taken, optimizer.lrs
        self._descents = [(layer, layer.descent) for layer in pack.linear]

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters' values, in the pack's order."""
        return [value for _, value in self._parameters]

    def restore(self) -> None:
        """Everything."""
        _put_back([*self._parameters, *self._buffers, *self._state])
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        self._optimizer.taken, self._optimizer.lrs = self._taken, self._lrs
        for layer, descent in self._descents:
            layer.descent = descent


@contextmanager
def unchanged(pack: Pack, optimizer: PackOptimizer) -> Iterator[State]:
    """Whatever is done inside to the pack and its optimizer is undone."""
    state = State(pack, optimizer)
    try:
        yield state
    finally:
        state.restore()


def _copies(values: Iterator[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(value, value.detach().clone()) for value in values]


@torch.no_grad()
def _put_back(copies: list[tuple[Tensor, Tensor]]) -> None:
    for value, copy in copies:
        value.copy_(copy)
