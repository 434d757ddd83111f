"""Adam and AdamW for packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig
from bnbench.optimizers.per_trial import SlotBySlot


class PackAdam(SlotBySlot):
    """Adam, which adds weight decay to the gradient.

    References:
        Kingma & Ba (2015), arXiv:1412.6980.
    """

    buffers = ("exp_avg", "exp_avg_sq")
    _fused: Callable[..., None] = staticmethod(torch._fused_adam_)
    _torch_class: type[torch.optim.Adam] = torch.optim.Adam

    @classmethod
    def torch_optimizer(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **options: bool
    ) -> torch.optim.Optimizer:
        betas = (config.beta1, config.beta2)
        return cls._torch_class(params, lr=lr, betas=betas, eps=config.eps, weight_decay=config.weight_decay, **options)

    def _update_slot(
        self, slot: int, steps: list[int], params: list[Tensor], grads: list[Tensor], *buffers: list[Tensor]
    ) -> None:
        config = self.configs[slot]
        mean, square = buffers
        # The fused kernel takes the number of steps as a tensor for each parameter; equal numbers share one.
        step_tensors = {step: params[0].new_tensor(step, dtype=torch.float32) for step in dict.fromkeys(steps)}
        self._fused(
            params,
            grads,
            mean,
            square,
            [],
            [step_tensors[step] for step in steps],
            lr=self.lrs[slot],
            beta1=config.beta1,
            beta2=config.beta2,
            weight_decay=config.weight_decay,
            eps=config.eps,
            amsgrad=False,
            maximize=False,
        )


class PackAdamW(PackAdam):
    """Adam with weight decay that is not part of the gradient.

    References:
        Loshchilov & Hutter (2019), arXiv:1711.05101.
    """

    _fused = staticmethod(torch._fused_adamw_)
    _torch_class = torch.optim.AdamW
