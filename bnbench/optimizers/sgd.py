"""Plain stochastic gradient descent, for packs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from bnbench.config import OptimizerConfig
from bnbench.optimizers.per_trial import PackOptimizer, by_row
from bnbench.packing.leaves import FoldedLinear
from bnbench.packing.products import Descent


class PackSGD(PackOptimizer):
    """Plain stochastic gradient descent, which updates all slots at once.

    The weights of `layers` get no gradient in `.grad`: the backward pass adds -lr * gradient to them as it computes it
    (see `Descent`). That rounds once less than torch's update, from which it differs by about 1e-7 of the step. With a
    batch of one it took a fifth of the time.

    Args:
        params: Parameters of shape (K, …).
        configs: The section `optimizer` of each slot's configuration.
        layers: Linear layers whose weights are among the parameters.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], configs: Sequence[OptimizerConfig], layers: Iterable[FoldedLinear] = ()
    ) -> None:
        self._layers = [*layers]
        super().__init__(params, configs)
        updated_in_backward = {id(layer.weight) for layer in self._layers}
        self._params = [p for p in self._params if id(p) not in updated_in_backward]
        self.steps_missed = [0] * len(self._params)

    @classmethod
    def torch_optimizer(
        cls, params: Iterable[nn.Parameter], config: OptimizerConfig, lr: float, **options: bool
    ) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=lr, weight_decay=config.weight_decay, **options)

    def set_lrs(self, lrs: Sequence[float]) -> None:
        super().set_lrs(lrs)
        rates = [lr if active else 0.0 for lr, active in zip(lrs, self.active, strict=True)]
        decays = [config.weight_decay for config in self.configs]
        param: Tensor = self.param_groups[0]["params"][0]
        self._rate = -param.new_tensor(rates)
        self._decay = param.new_tensor(decays) if any(decays) else None
        shrink = [1 - lr * decay for lr, decay in zip(rates, decays, strict=True)]
        descent = Descent(by_row(self._rate, 3), param.new_tensor(shrink).view(-1, 1, 1) if any(decays) else None)
        for layer in self._layers:
            layer.descent = descent

    def _update(self, grads: list[Tensor | None]) -> None:
        for p, grad in zip(self._params, grads, strict=True):
            if grad is None:
                continue
            if self._decay is not None:
                grad = grad.addcmul(p, by_row(self._decay, p.dim()))
            if not all(self.active):
                grad = grad.where(by_row(torch.tensor(self.active, device=p.device), p.dim()), 0)
            p.addcmul_(
                grad, by_row(self._rate, p.dim())
            )  # one fused operation, as in torch's kernel: the product is not rounded
