"""Stochastic gradient descent with momentum, for packs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig
from bnbench.optimizers.per_trial import SlotBySlot


class PackMomentum(SlotBySlot):
    """Stochastic gradient descent with momentum, or with Nesterov's if `nesterov`."""

    buffers = ("momentum_buffer",)

    @classmethod
    def torch_optimizer(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **options: bool
    ) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            params,
            lr=lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            **options,
        )

    def _update_slot(
        self, slot: int, steps: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
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
            is_first_step=self.steps_taken == 1,
        )
