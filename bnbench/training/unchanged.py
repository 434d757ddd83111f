"""Lets a pack be tried out and then puts its state back to the bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bnbench.optimizers.per_trial import PackOptimizer
from bnbench.packing.pack import Pack


class Copies:
    """Tensors together with copies of their values.

    Attributes:
        values: The copied values, in the order of the tensors.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = [*tensors]
        self.values = [tensor.detach().clone() for tensor in self._tensors]

    @torch.no_grad()
    def put_back(self) -> None:
        for tensor, value in zip(self._tensors, self.values, strict=True):
            tensor.copy_(value)


class State:
    """The values of a pack and its optimizer at one moment.

    Args:
        pack: In training mode, under running statistics.
        optimizer: The pack's.

    Attributes:
        parameters: The parameters' values, in the pack's order.
    """

    def __init__(self, pack: Pack, optimizer: PackOptimizer) -> None:
        self._optimizer = optimizer
        self._gradients = [(p, p.grad) for p in pack.parameters()]
        parameters = Copies(pack.parameters())
        self.parameters = parameters.values
        state = Copies(value for state in optimizer.state.values() for value in state.values())
        self._copies = (parameters, Copies(pack.buffers()), state)
        self._taken, self._missed, self._lrs = optimizer.steps_taken, [*optimizer.steps_missed], optimizer.lrs
        self._descents = [(layer, layer.descent) for layer in pack.linear]

    def restore(self) -> None:
        """Put the pack and its optimizer back into this state."""
        for copies in self._copies:
            copies.put_back()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        self._optimizer.steps_taken, self._optimizer.steps_missed = self._taken, [*self._missed]
        self._optimizer.set_lrs(self._lrs)
        for layer, descent in self._descents:
            layer.descent = descent


@contextmanager
def unchanged(pack: Pack, optimizer: PackOptimizer) -> Iterator[State]:
    """Restores the pack and its optimizer at the end to the state that they have at the start."""
    state = State(pack, optimizer)
    try:
        yield state
    finally:
        state.restore()
