"""Optimizers of a pack: every trial has its own hyperparameters and gets torch's own fused update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.config import ConfigError, OptimizerConfig
from bnbench.config.imported import imported
from bnbench.config.optimizer_catalog import OPTIMIZERS
from bnbench.packing.leaves import FoldedLinear
from bnbench.tensors.memory_layout import select_slots


class PackOptimizer(torch.optim.Optimizer, ABC):
    """Updates each slot of stacked parameters (K, …) by itself.

    The update is equal to the bit to `torch.optim`'s with `fused=True`. (Fused and default updates of torch differ by
    about 1e-7.) A slot that is not active is left alone, which is all that freezing a diverged trial takes; so is a
    parameter that no gradient reached, as in torch.

    Args:
        params: Parameters of shape (K, …).
        configs: One a slot.
        layers: Linear layers whose weights are among the parameters, for an optimizer that updates them as it computes
            their gradients.

    Attributes:
        active: By slot, whether it is updated. What was once inactive stays so.
        taken: Steps so far.
        missed: By parameter, those of them in which no gradient reached it.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        super().__init__(params, {})
        self.configs = list(configs)
        self.active = [True] * len(configs)
        self._params = [p for group in self.param_groups for p in group["params"]]
        self.taken = 0
        self.missed = [0] * len(self._params)
        self.set_lrs([config.lr for config in configs])

    def set_lrs(self, lrs: Sequence[float]) -> None:
        """Say each slot's learning rate, before the backward pass of the step it is for."""
        self.lrs = [*lrs]

    @abstractmethod
    def _update(self, grads: list[Tensor | None]) -> None:
        """Every active slot's update, in place, from a gradient for each of `_params`; None for those without."""

    @classmethod
    def plain(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **how: bool
    ) -> torch.optim.Optimizer:
        """torch's own optimizer of one trial's parameters, with the same settings; `how` is `fused=True`, or nothing.

        Raises:
            ConfigError: If torch has none; one line.
        """
        raise ConfigError(f"torch has no optimizer={config.name}, to compare bnbench's with")

    def select(self, slots: Sequence[int]) -> None:
        """Keep some slots, after the parameters were reduced to them."""
        self.configs = [self.configs[slot] for slot in slots]
        self.active = [self.active[slot] for slot in slots]
        for state in self.state.values():
            for name, value in state.items():
                state[name] = select_slots(value, slots)
        self.set_lrs([self.lrs[slot] for slot in slots])

    def state_dict(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "missed": [*self.missed],
            "active": [*self.active],
            "state": [{**self.state[p]} for p in self._params],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take a state in, in place: updates go through views of it."""
        self.taken, self.missed, self.active = saved["taken"], [*saved["missed"]], [*saved["active"]]
        for p, values in zip(self._params, saved["state"], strict=True):
            for name, value in values.items():
                self.state[p][name].copy_(value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every active slot, from the gradients in `.grad`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.taken += 1
        grads = [None if p.grad is None else _like(p.grad, p) for p in self._params]
        self.missed = [missed + (grad is None) for missed, grad in zip(self.missed, grads, strict=True)]
        self._update(grads)
        return loss


class SlotBySlot(PackOptimizer):
    """Torch's own fused kernels, called on one slot's views at a time: their learning rate is one number.

    Attributes:
        buffers: Names of the state that is kept for each parameter.
    """

    buffers: tuple[str, ...]

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        super().__init__(params, configs)
        for p in self._params:
            for name in self.buffers:
                self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        self._view()

    @abstractmethod
    def _update_slot(
        self, slot: int, taken: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        """One slot's update, in place, of parameters that so many gradients have reached."""

    def _view(self) -> None:
        kept = ([self.state[p][name] for p in self._params] for name in self.buffers)
        self._views = [_by_slot(self._params), *map(_by_slot, kept)]

    def select(self, slots: Sequence[int]) -> None:
        super().select(slots)
        self._view()

    def _update(self, grads: list[Tensor | None]) -> None:
        reached = [i for i, grad in enumerate(grads) if grad is not None]
        by_slot = _by_slot([grad for grad in grads if grad is not None])
        taken = [self.taken - self.missed[i] for i in reached]
        for slot, active in enumerate(self.active):
            if active and reached:
                views = (views[slot] for views in self._views)
                params, *buffers = views if len(reached) == len(grads) else ([v[i] for i in reached] for v in views)
                self._update_slot(slot, taken, params, by_slot[slot], *buffers)


def make_optimizer(
    params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
) -> PackOptimizer:
    """The optimizer that the configurations, which agree on its name, ask for.

    Args:
        params: Parameters of shape (K, …), of which those that are frozen (`requires_grad=False`) stay.
        configs: One a slot.
        layers: Linear layers whose weights are among the parameters and may be updated in the backward pass; see
            `PackSGD`.
    """
    return optimizer_class(configs[0].name)([p for p in params if p.requires_grad], configs, layers)


def optimizer_class(name: str) -> type[PackOptimizer]:
    """The class of an optimizer by the name that `optimizer=` takes.

    Raises:
        ConfigError: If there is none of that name; one line.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"optimizer={name} is unknown; allowed: {', '.join(OPTIMIZERS)}")
    update: type[PackOptimizer] = imported(OPTIMIZERS[name].update)
    return update


def by_row(values: Tensor, dim: int) -> Tensor:
    """A number a slot, (K,), in a shape that broadcasts over a parameter (K, …) of `dim` dimensions."""
    return values.view(-1, *[1] * (dim - 1))


def _by_slot(stacked: Sequence[Tensor]) -> list[list[Tensor]]:
    """K lists of views, one list a slot with a view a parameter.

    A view is flat, in the order of memory: torch's kernels would first copy what is dense in another order, as conv
    weights are.
    """
    flat = (t.detach().as_strided((len(t), t.stride(0)), (t.stride(0), 1)) for t in stacked)
    return [list(views) for views in zip(*(t.unbind(0) for t in flat), strict=True)]


def _like(grad: Tensor, param: Tensor) -> Tensor:
    """The gradient in the parameter's memory order, which the fused kernels take for granted."""
    if grad.stride() == param.stride():
        return grad
    return torch.empty_like(param).copy_(grad)
