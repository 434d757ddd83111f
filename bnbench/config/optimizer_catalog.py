"""The optimizers: the keys of `optimizer`, and for each an entry with all that can be known of it without torch.

A new optimizer takes its class in `bnbench/optimizers/`, an entry here, any key that it adds to `OptimizerConfig`, and
`conf/optimizer/NAME.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bnbench.config.choices import LrScaling
from bnbench.config.number import number


@dataclass(frozen=True)
class Optimizer:
    """What the rest of bnbench needs to know of an update rule without importing it.

    Attributes:
        summary: One line for `bnbench list`.
        update: Its class, a `PackOptimizer`, as `package.module:name`, imported when a pack is trained.
        keys: The keys of `optimizer` that have an effect on it, beside those that scale the learning rate.
        states: How many tensors of a parameter's shape it keeps for each parameter.
    """

    summary: str
    update: str
    keys: frozenset[str]
    states: int


_SGD_KEYS = frozenset({"lr", "weight_decay"})
_MOMENTUM_KEYS = _SGD_KEYS | {"momentum", "nesterov"}
_ADAM_KEYS = _SGD_KEYS | {"beta1", "beta2", "eps"}

OPTIMIZERS = {
    "sgd": Optimizer("plain stochastic gradient descent", "bnbench.optimizers.sgd:PackSGD", _SGD_KEYS, states=0),
    "momentum": Optimizer(
        "gradient descent with momentum, or Nesterov's with optimizer.nesterov=true",
        "bnbench.optimizers.momentum:PackMomentum",
        _MOMENTUM_KEYS,
        states=1,
    ),
    "adam": Optimizer("Adam, weight decay in the gradient", "bnbench.optimizers.adam:PackAdam", _ADAM_KEYS, states=2),
    "adamw": Optimizer("Adam with decoupled weight decay", "bnbench.optimizers.adam:PackAdamW", _ADAM_KEYS, states=2),
}
"""Every optimizer, by the name that `optimizer=` takes."""

OptimizerName = StrEnum("OptimizerName", [*OPTIMIZERS], module=__name__)  # type: ignore[misc]


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule. `lr` is the learning rate as the user typed it, before `lr_scaling`."""

    name: OptimizerName = OptimizerName["sgd"]
    lr: float = number(0.1, 0, low_is_allowed=False)
    momentum: float = number(0.9, 0, 1)
    nesterov: bool = False
    beta1: float = number(0.9, 0, 1)
    beta2: float = number(0.999, 0, 1)
    eps: float = number(1e-8, 0, low_is_allowed=False)
    weight_decay: float = number(0.0, 0)
    lr_scaling: LrScaling = LrScaling.none
    lr_reference_batch_size: int = number(64, 1)
