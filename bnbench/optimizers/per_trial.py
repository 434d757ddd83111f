"""Optimizers of a pack: every trial has its own hyperparameters and gets torch's own fused update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig, OptimizerName
from bnbench.packing.leaves import FoldedLinear
from bnbench.packing.products import Descent
from bnbench.tensors.memory_layout import select_slots


class PackOptimizer(torch.optim.Optimizer, ABC):
    """Updates each slot of stacked parameters (K, …) by itself.

    The update is equal to the bit to `torch.optim`'s with `fused=True`. (Fused and default updates of torch differ by
    about 1e-7.) A slot that is not active is left alone, which is all that freezing a diverged trial takes; so is a
    parameter that no gradient reached, as in torch.

    Args:
        params: Parameters of shape (K, …).
        configs: One a slot.

    Attributes:
        active: By slot, whether it is updated. What was once inactive stays so.
        taken: Steps so far.
        missed: By parameter, those of them in which no gradient reached it.
    """

    def __init__(self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig]) -> None:
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


class PackSGD(PackOptimizer):
    """Plain stochastic gradient descent, of all slots at once.

    The weights of `layers` never see a gradient: the backward pass adds -lr * gradient to them as it computes it (see
    `Descent`). That rounds once less than torch's update, by which it differs at about 1e-7 of the step; with a batch
    of one it took a fifth of the time.

    Args:
        params: Parameters of shape (K, …).
        configs: One a slot.
        layers: Linear layers whose weights are among the parameters.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        self._layers = [*layers]
        super().__init__(params, configs)
        early = {id(layer.weight) for layer in self._layers}
        self._params = [p for p in self._params if id(p) not in early]
        self.missed = [0] * len(self._params)

    def set_lrs(self, lrs: Sequence[float]) -> None:
        super().set_lrs(lrs)
        rates = [lr if active else 0.0 for lr, active in zip(lrs, self.active, strict=True)]
        decays = [config.weight_decay for config in self.configs]
        some: Tensor = self.param_groups[0]["params"][0]
        self._rate = -some.new_tensor(rates)
        self._decay = some.new_tensor(decays) if any(decays) else None
        shrink = [1 - lr * decay for lr, decay in zip(rates, decays, strict=True)]
        descent = Descent(_by_row(self._rate, 3), some.new_tensor(shrink).view(-1, 1, 1) if any(decays) else None)
        for layer in self._layers:
            layer.descent = descent

    def _update(self, grads: list[Tensor | None]) -> None:
        for p, grad in zip(self._params, grads, strict=True):
            if grad is None:
                continue
            if self._decay is not None:
                grad = grad.addcmul(p, _by_row(self._decay, p.dim()))
            if not all(self.active):
                grad = grad.where(_by_row(torch.tensor(self.active, device=p.device), p.dim()), 0)
            p.addcmul_(grad, _by_row(self._rate, p.dim()))  # fused, the product is not rounded: as in torch's kernel


class _SlotBySlot(PackOptimizer):
    """Torch's own fused kernels, called on one slot's views at a time: their learning rate is one number.

    Attributes:
        buffers: Names of the state that is kept for each parameter.
    """

    buffers: tuple[str, ...]

    def __init__(self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig]) -> None:
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


class PackMomentum(_SlotBySlot):
    """Stochastic gradient descent with (Nesterov) momentum."""

    buffers = ("momentum_buffer",)

    def _update_slot(
        self, slot: int, taken: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        config = self.configs[slot]
        torch._fused_sgd_(
            params,
            grads,
            buffers[0] if config.momentum else [],
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            lr=self.lrs[slot],
            dampening=0.0,
            nesterov=config.nesterov,
            maximize=False,
            is_first_step=self.taken == 1,
        )


class PackAdam(_SlotBySlot):
    """Adam, with decay in the gradient (adam) or apart from it (adamw)."""

    buffers = ("exp_avg", "exp_avg_sq")

    def _update_slot(
        self, slot: int, taken: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        config = self.configs[slot]
        update = torch._fused_adamw_ if config.name == OptimizerName.adamw else torch._fused_adam_
        mean, square = buffers
        # An active slot has taken every step.
        counts = {count: params[0].new_tensor(count, dtype=torch.float32) for count in dict.fromkeys(taken)}
        update(
            params,
            grads,
            mean,
            square,
            [],
            [counts[count] for count in taken],
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
    """The optimizer that the configurations, which agree on its name, ask for.

    Args:
        params: Parameters of shape (K, …), of which those that are frozen (`requires_grad=False`) stay.
        configs: One a slot.
        layers: Linear layers whose weights are among the parameters and may be updated in the backward pass; see
            `PackSGD`.
    """
    params = [p for p in params if p.requires_grad]
    if configs[0].name == OptimizerName.sgd:
        return PackSGD(params, configs, layers)
    return (PackMomentum if configs[0].name == OptimizerName.momentum else PackAdam)(params, configs)


def _by_row(values: Tensor, dim: int) -> Tensor:
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
