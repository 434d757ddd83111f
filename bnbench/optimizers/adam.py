"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig
from bnbench.optimizers.per_trial import SlotBySlot


class PackAdam(SlotBySlot):
    """Adam, with weight decay in the gradient."""

    buffers = ("exp_avg", "exp_avg_sq")
    _fused: Callable[..., None] = staticmethod(torch._fused_adam_)
    _plain: type[torch.optim.Adam] = torch.optim.Adam

    @classmethod
    def plain(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **how: bool
    ) -> torch.optim.Optimizer:
        betas = (config.beta1, config.beta2)
        return cls._plain(params, lr=lr, betas=betas, eps=config.eps, weight_decay=config.weight_decay, **how)

    def _update_slot(
        self, slot: int, taken: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        config = self.configs[slot]
        mean, square = buffers
        # An active slot has taken every step.
        counts = {count: params[0].new_tensor(count, dtype=torch.float32) for count in dict.fromkeys(taken)}
        self._fused(
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


class PackAdamW(PackAdam):
    """Adam, with weight decay apart from the gradient."""

    _fused = staticmethod(torch._fused_adamw_)
    _plain = torch.optim.AdamW
