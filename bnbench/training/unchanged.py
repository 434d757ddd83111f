"""A pack can be tried out and be, to the bit, as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bnbench.optimizers.per_trial import PackOptimizer
from bnbench.packing.pack import Pack


class Copies:
    """Tensors, and the values they had.

    Attributes:
        values: By tensor, in the order given.
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
        """Make them what they were."""
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
    """Whatever is done inside to the pack and its optimizer is undone."""
    state = State(pack, optimizer)
    try:
        yield state
    finally:
        state.restore()
