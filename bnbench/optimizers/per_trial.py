"""The base classes of optimizers of a pack, in which every trial has its hyperparameters and torch's fused update."""

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
    """Updates stacked parameters (K, …), each slot with its own settings.

    The update is equal to the bit to that of `torch.optim` with `fused=True`. (Fused and default updates of torch
    differ by about 1e-7.) A slot that is not active stays as it is, which is how a trial that diverged is frozen; so
    does a parameter that no gradient reached, as in torch.

    Args:
        params: Parameters of shape (K, …).
        configs: The section `optimizer` of each slot's configuration.
        layers: Linear layers whose weights are among the parameters, for an optimizer that updates those weights in
            the backward pass.

    Attributes:
        active: For each slot, whether it is updated. A slot that is not active never becomes active again.
        steps_taken: How many steps there were so far.
        steps_missed: For each parameter, in how many of those no gradient reached it.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        super().__init__(params, {})
        self.configs = list(configs)
        self.active = [True] * len(configs)
        self._params = [p for group in self.param_groups for p in group["params"]]
        self.steps_taken = 0
        self.steps_missed = [0] * len(self._params)
        self.set_lrs([config.lr for config in configs])

    def set_lrs(self, lrs: Sequence[float]) -> None:
        """Set the learning rate of each slot. Call it before the backward pass of the step that it is for."""
        self.lrs = [*lrs]

    @abstractmethod
    def _update(self, grads: list[Tensor | None]) -> None:
        """Update every active slot in place.

        Args:
            grads: The gradient of each of `_params`, in the parameter's memory layout; None if it has none.
        """

    @classmethod
    def torch_optimizer(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **options: bool
    ) -> torch.optim.Optimizer:
        """The optimizer of `torch.optim` with the same settings, for the parameters of a single trial.

        Args:
            params: The parameters.
            config: The section `optimizer` of the trial's configuration.
            lr: The learning rate.
            options: `fused=True`, or nothing.

        Raises:
            ConfigError: If torch has none; one line.
        """
        raise ConfigError(f"torch has no optimizer={config.name}, to compare bnbench's with")

    def select(self, slots: Sequence[int]) -> None:
        """Keep these slots alone. The parameters must hold no others any more."""
        self.configs = [self.configs[slot] for slot in slots]
        self.active = [self.active[slot] for slot in slots]
        for state in self.state.values():
            for name, value in state.items():
                state[name] = select_slots(value, slots)
        self.set_lrs([self.lrs[slot] for slot in slots])

    def state_dict(self) -> dict[str, Any]:
        return {
            "taken": self.steps_taken,
            "missed": [*self.steps_missed],
            "active": [*self.active],
            "state": [{**self.state[p]} for p in self._params],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Load a state in place, because `SlotBySlot` updates it through views."""
        self.steps_taken, self.steps_missed, self.active = saved["taken"], [*saved["missed"]], [*saved["active"]]
        for p, values in zip(self._params, saved["state"], strict=True):
            for name, value in values.items():
                self.state[p][name].copy_(value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every active slot once, from the gradients in `.grad`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.steps_taken += 1
        grads = [None if p.grad is None else _in_layout_of(p, p.grad) for p in self._params]
        self.steps_missed = [missed + (grad is None) for missed, grad in zip(self.steps_missed, grads, strict=True)]
        self._update(grads)
        return loss


class SlotBySlot(PackOptimizer):
    """Calls torch's fused kernels on the views of one slot at a time, because they take a single learning rate.

    Attributes:
        buffers: Names of the tensors of a parameter's shape that are kept for each parameter.
    """

    buffers: tuple[str, ...]

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        super().__init__(params, configs)
        for p in self._params:
            for name in self.buffers:
                self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        self._make_views()

    @abstractmethod
    def _update_slot(
        self, slot: int, steps: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        """Update one slot in place.

        Args:
            slot: The slot.
            steps: For each parameter, in how many steps a gradient reached it.
            params: Flat views of the slot's parameters.
            grads: Flat views of their gradients.
            buffers: For each name in `buffers`, flat views of that state of the parameters.
        """

    def _make_views(self) -> None:
        states = ([self.state[p][name] for p in self._params] for name in self.buffers)
        self._views = [_views_by_slot(self._params), *map(_views_by_slot, states)]

    def select(self, slots: Sequence[int]) -> None:
        super().select(slots)
        self._make_views()

    def _update(self, grads: list[Tensor | None]) -> None:
        reached = [i for i, grad in enumerate(grads) if grad is not None]
        grad_views = _views_by_slot([grad for grad in grads if grad is not None])
        steps = [self.steps_taken - self.steps_missed[i] for i in reached]
        for slot, active in enumerate(self.active):
            if active and reached:
                views = (views[slot] for views in self._views)
                params, *buffers = views if len(reached) == len(grads) else ([v[i] for i in reached] for v in views)
                self._update_slot(slot, steps, params, grad_views[slot], *buffers)


def make_optimizer(
    params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
) -> PackOptimizer:
    """The optimizer of a pack.

    Args:
        params: Parameters of shape (K, …). Those that are frozen (`requires_grad=False`) are not updated.
        configs: The section `optimizer` of each slot's configuration; all have the same `name`.
        layers: Linear layers whose weights are among the parameters and may be updated in the backward pass; see
            `PackSGD`.

    Raises:
        ConfigError: If the name is unknown; one line.
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
    """One number for each slot, (K,), in a shape that broadcasts over a parameter (K, …) of `dim` dimensions."""
    return values.view(-1, *[1] * (dim - 1))


def _views_by_slot(stacked: Sequence[Tensor]) -> list[list[Tensor]]:
    """For each of K slots, a list of views of its part of each tensor.

    A view is flat, in the order of memory. Of a tensor that is dense in another order, as conv weights are, torch's
    kernels would first make a copy.
    """
    flat = (t.detach().as_strided((len(t), t.stride(0)), (t.stride(0), 1)) for t in stacked)
    return [list(views) for views in zip(*(t.unbind(0) for t in flat), strict=True)]


def _in_layout_of(param: Tensor, grad: Tensor) -> Tensor:
    """The gradient in the memory layout of its parameter, which the fused kernels assume it to have."""
    if grad.stride() == param.stride():
        return grad
    return torch.empty_like(param).copy_(grad)
