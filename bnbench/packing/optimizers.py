"""Optimizers of a pack: every trial has its own hyperparameters and gets torch's own fused update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig, OptimizerName
from bnbench.layout import select_slots
from bnbench.packing.leaves import FoldedLinear
from bnbench.packing.products import Descent

__all__ = ["PackAdam", "PackOptimizer", "PackSGD", "make_optimizer"]


class PackOptimizer(torch.optim.Optimizer, ABC):
    """Updates each slot of stacked parameters (K, …) by itself.

    The update is `torch.optim`'s with `fused=True`, called on one slot's views at a time, and so equal to it to
    the bit. (Fused and default updates of torch differ by about 1e-7.) A slot that is not active is left alone,
    which is all that freezing a diverged trial takes.

    Args:
        params: Parameters of shape (K, …).
        configs: One a slot.
        layers: Linear layers whose weights are among the parameters and may be updated in the backward pass; see
            `PackSGD`.

    Attributes:
        active: By slot, whether it is updated. What was once inactive stays so.
        taken: Steps so far.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        configs: Sequence[OptimizerConfig],
        layers: Iterable[FoldedLinear] = (),
    ) -> None:
        super().__init__(params, {})
        self.configs = list(configs)
        self.active = [True] * len(configs)
        self._layers = [*layers] if self._descends else []
        early = {id(layer.weight) for layer in self._layers}
        self._params = [p for group in self.param_groups for p in group["params"] if id(p) not in early]
        self._slots = _by_slot(self._params)
        self.taken = 0
        self._prepare()
        self._view()
        self.set_lrs([config.lr for config in configs])

    @property
    def _descends(self) -> bool:
        """Whether an update needs nothing but the gradient and the weight."""
        return False

    def set_lrs(self, lrs: Sequence[float]) -> None:
        """Say each slot's learning rate, before the backward pass of the step it is for."""
        self.lrs = [*lrs]

    @abstractmethod
    def _prepare(self) -> None:
        """Make the state, with `_make`."""

    @abstractmethod
    def _view(self) -> None:
        """Take views of the state by slot."""

    @abstractmethod
    def _update(self, slot: int, params: list[Tensor], grads: list[Tensor]) -> None:
        """One slot's update, in place."""

    def _make(self, name: str) -> None:
        """One buffer of zeros a parameter, kept in the optimizer's state."""
        for p in self._params:
            self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)

    def _views(self, name: str) -> list[list[Tensor]]:
        return _by_slot([self.state[p][name] for p in self._params])

    def select(self, slots: Sequence[int]) -> None:
        """Keep some slots, after the parameters were reduced to them."""
        self.configs = [self.configs[slot] for slot in slots]
        self.active = [self.active[slot] for slot in slots]
        for state in self.state.values():
            for name, value in state.items():
                state[name] = select_slots(value, slots)
        self._slots = _by_slot(self._params)
        self._view()
        self.set_lrs([self.lrs[slot] for slot in slots])

    def state_dict(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "active": [*self.active],
            "state": [{**self.state[p]} for p in self._params],
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take a state in, in place: updates go through views of it."""
        self.taken, self.active = saved["taken"], [*saved["active"]]
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
        grads = _by_slot([_like(p.grad, p) for p in self._params])
        self.taken += 1
        for slot, active in enumerate(self.active):
            if active:
                self._update(slot, self._slots[slot], grads[slot])
        return loss


class PackSGD(PackOptimizer):
    """Stochastic gradient descent: plain, or with (Nesterov) momentum.

    Without momentum the weights of `layers` never see a gradient: the backward pass adds -lr * gradient to them as it
    computes it (see `Descent`). That rounds once less than torch's update, by which it differs at about 1e-7 of the
    step; with a batch of one it took a fifth of the time.
    """

    @property
    def _descends(self) -> bool:
        return self.configs[0].name == OptimizerName.sgd

    def set_lrs(self, lrs: Sequence[float]) -> None:
        super().set_lrs(lrs)
        rates = [lr if active else 0.0 for lr, active in zip(lrs, self.active, strict=True)]
        decays = [config.weight_decay for config in self.configs]
        for layer in self._layers:
            column = layer.weight.new_tensor(rates).view(-1, 1, 1)
            shrink = [1 - lr * decay for lr, decay in zip(rates, decays, strict=True)]
            layer.descent = Descent(-column, layer.weight.new_tensor(shrink).view(-1, 1, 1) if any(decays) else None)

    def _prepare(self) -> None:
        self._heavy = self.configs[0].name == OptimizerName.momentum
        if self._heavy:
            self._make("momentum_buffer")

    def _view(self) -> None:
        self._velocity = self._views("momentum_buffer") if self._heavy else [[] for _ in self.configs]

    def _update(self, slot: int, params: list[Tensor], grads: list[Tensor]) -> None:
        config = self.configs[slot]
        torch._fused_sgd_(
            params,
            grads,
            self._velocity[slot] if self._heavy and config.momentum else [],
            weight_decay=config.weight_decay,
            momentum=config.momentum if self._heavy else 0.0,
            lr=self.lrs[slot],
            dampening=0.0,
            nesterov=config.nesterov and self._heavy,
            maximize=False,
            is_first_step=self.taken == 1,
        )


class PackAdam(PackOptimizer):
    """Adam, with decay in the gradient (adam) or apart from it (adamw)."""

    def _prepare(self) -> None:
        decoupled = self.configs[0].name == OptimizerName.adamw
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._make("exp_avg")
        self._make("exp_avg_sq")

    def _view(self) -> None:
        self._mean, self._square = self._views("exp_avg"), self._views("exp_avg_sq")

    def _update(self, slot: int, params: list[Tensor], grads: list[Tensor]) -> None:
        config = self.configs[slot]
        self._kernel(
            params,
            grads,
            self._mean[slot],
            self._square[slot],
            [],
            [params[0].new_tensor(self.taken, dtype=torch.float32)]
            * len(params),  # an active slot has taken every step
            lr=self.lrs[slot],
            beta1=config.beta1,
            beta2=config.beta2,
            weight_decay=config.weight_decay,
            eps=config.eps,
            amsgrad=False,
            maximize=False,
        )


def make_optimizer(
    params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
) -> PackOptimizer:
    """The optimizer that the configurations, which agree on its name, ask for."""
    kinds: dict[OptimizerName, type[PackSGD] | type[PackAdam]] = {
        OptimizerName.sgd: PackSGD,
        OptimizerName.momentum: PackSGD,
        OptimizerName.adam: PackAdam,
        OptimizerName.adamw: PackAdam,
    }
    return kinds[configs[0].name](params, configs, layers)


def _by_slot(stacked: Sequence[Tensor]) -> list[list[Tensor]]:
    """K lists of views, one list a slot with a view a parameter.

    A view is flat, in the order of memory: torch's kernels would first copy what is dense in another order, as conv
    weights are.
    """
    flat = (t.detach().as_strided((len(t), t.stride(0)), (t.stride(0), 1)) for t in stacked)
    return [list(views) for views in zip(*(t.unbind(0) for t in flat), strict=True)]


def _like(grad: Tensor | None, param: Tensor) -> Tensor:
    """The gradient in the parameter's memory order, which the fused kernels take for granted."""
    if grad is None:
        raise ValueError("a parameter of the pack got no gradient; the network does not use it")
    if grad.stride() == param.stride():
        return grad
    return torch.empty_like(param).copy_(grad)
